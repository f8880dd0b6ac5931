"""The Kubernetes API of the kubeconfig, for what Kubeflow Pipelines itself does not offer: pods, events, config maps."""

from __future__ import annotations

from typing import Any


def core_api() -> Any:
    """A `kubernetes.client.CoreV1Api` that does not retry: a cluster that is silent must not hold a command up.

    Raises:
        kubernetes.config.ConfigException: there is no kubeconfig.
    """
    from kubernetes import client, config  # type: ignore[import-untyped]

    config.load_kube_config()
    settings = client.Configuration.get_default_copy()
    settings.retries = False
    return client.CoreV1Api(client.ApiClient(settings))
