"""The messages of Kubeflow Pipelines: what of a compiled package its API server would not understand."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from google.protobuf import json_format

from detkds.lint import Finding, Package


def unknown(package: Package) -> list[Finding]:
    """Fields and values that KFP's messages do not have, one finding a message; else settings for an executor that does not exist."""
    return list(_misread(package)) or list(_dangling(package))


def _misread(package: Package) -> Iterator[Finding]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # kfp warns of what it will change some day
        from kfp.kubernetes import kubernetes_executor_config_pb2
        from kfp.pipeline_spec import pipeline_spec_pb2

    # To the pipeline's message its deployment is any structure; that has a message of its own.
    messages = {
        "pipeline": (package.pipeline, pipeline_spec_pb2.PipelineSpec()),
        "deployment": (package.pipeline["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig()),
    }
    for label, settings in package.platform.items():
        messages[f"executor {label}"] = (settings, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    for where, (document, message) in messages.items():
        try:
            json_format.ParseDict(document, message)
        except json_format.ParseError as error:
            yield Finding("schema", where, " ".join(str(error).split()))


def _dangling(package: Package) -> Iterator[Finding]:
    for label in sorted(package.platform.keys() - package.pipeline["deploymentSpec"].get("executors", {}).keys()):
        yield Finding("schema", f"executor {label}", "there are settings for Kubernetes, but no container; take them out.")
