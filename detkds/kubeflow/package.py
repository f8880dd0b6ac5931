"""The compiled pipelines as this library carries them, and what a run may change in them. No kfp: a package is two YAML documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import yaml

from detkds.config import Resources

ACCELERATOR = "nvidia.com/gpu"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
VOLUMES = "/data"
"""Where a claim is mounted in a task: /data/CLAIM."""


def compiled(pipeline: str) -> str:
    """The YAML of a pipeline, "search" or "transfer"."""
    return (files("detkds") / "compiled" / f"{pipeline}.yaml").read_text()


def parameter_defaults(package: str) -> dict[str, Any]:
    """The parameters of a package with their defaults; None where one has to be given."""
    parameters = _documents(package)[0]["root"]["inputDefinitions"]["parameters"]
    return {name: described.get("defaultValue") for name, described in parameters.items()}


def without_retries(package: str) -> str:
    """The package without retries, which wait minutes for a cluster to mend; here an error is shown at once, and the command goes on."""
    documents = _documents(package)
    for task in documents[0]["root"]["dag"]["tasks"].values():
        task.pop("retryPolicy", None)
    return yaml.safe_dump_all(documents)


def with_resources(package: str, resources: Resources, claims: Iterator[str]) -> str:
    """The package with what a run.yaml asks of the cluster: GPUs, memory, nodes, a Kueue queue, and volume claims at /data/CLAIM."""
    documents = _documents(package)
    containers = documents[0]["deploymentSpec"]["executors"]
    settings = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounts = [_mount(claim) for claim in claims]
    for name, platform in settings.items():
        asked = containers[name]["container"]["resources"]
        if "accelerator" in asked:
            _ask(asked, platform, resources)
        if resources.queue:
            platform.setdefault("podMetadata", {}).setdefault("labels", {})[QUEUE_LABEL] = resources.queue
        if mounts:
            platform["pvcMount"] = [*platform.get("pvcMount", []), *mounts]
    return yaml.safe_dump_all(documents, sort_keys=False)


def _ask(asked: dict[str, Any], platform: dict[str, Any], resources: Resources) -> None:
    """Set the GPU task's device, memory and nodes; older backends read the second name of each field."""
    count = str(resources.gpus)
    asked["accelerator"] = {"count": count, "resourceCount": count, "type": ACCELERATOR, "resourceType": ACCELERATOR}
    if resources.gpus == 0:
        del asked["accelerator"]
    if resources.memory_gb:
        asked |= {"memoryLimit": float(resources.memory_gb), "resourceMemoryLimit": f"{resources.memory_gb}G"}
    if resources.node_selector:
        platform.setdefault("nodeSelector", {}).setdefault("labels", {}).update(resources.node_selector)


def _mount(claim: str) -> Mapping[str, Any]:
    return {"constant": claim, "mountPath": f"{VOLUMES}/{claim}", "pvcNameParameter": {"runtimeValue": {"constant": claim}}}


def _documents(package: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(package))
