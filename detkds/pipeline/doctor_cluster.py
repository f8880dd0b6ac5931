"""What can be wrong with a cluster before a run is sent there: the API, retries, the store's Secret and bucket, quota and GPUs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import yaml
from rich.console import Console

from detkds.errors import ClusterError, DetKDSError
from detkds.pipeline.kubeflow.core_api import core_api
from detkds.pipeline.kubeflow.package import STORE_KEYS
from detkds.pipeline.kubeflow.remote import Cluster, Endpoint
from detkds.pipeline.kubeflow.run_pods import TIMEOUT_S
from detkds.storage.s3_settings import ENDPOINT
from detkds.storage.uri import open_store

SYSTEM = "kubeflow"
OLDEST = (2, 16)
GPU = "nvidia.com/gpu"
SECRET = "detkds-s3"


class NotKnown(Exception):
    """What could not be asked; the message says why and how to look."""


def examine(endpoint: Endpoint, *, bucket: str, console: Console, api: Any = None) -> list[dict[str, Any]]:
    """Run every check, print one line each, and give back `name`, `passed` and `text` of each; `passed` is None for what cannot be asked,
    which is not a failure.

    Args:
        endpoint: of Kubeflow Pipelines.
        bucket: of the store.
        console: where the lines are shown.
        api: a `kubernetes.client.CoreV1Api`; None: of the kubeconfig.
    """
    namespace = endpoint.namespace or SYSTEM
    core = _Core(api)
    checks: list[tuple[str, Callable[[], str]]] = [
        ("pipelines", lambda: _pipelines(endpoint)),
        ("retries", lambda: _retries(core)),
        ("secret", lambda: _secret(core, namespace)),
        ("bucket", lambda: _bucket(bucket)),
        ("quota", lambda: _quota(core, namespace)),
        ("gpus", lambda: _gpus(core)),
    ]
    return [_result(name, check, console) for name, check in checks]


def _result(name: str, check: Callable[[], str], console: Console) -> dict[str, Any]:
    passed: bool | None
    try:
        text, passed = check(), True
    except NotKnown as unknown:
        text, passed = str(unknown), None
    except DetKDSError as error:
        text, passed = str(error), False
    mark, style = {True: ("ok  ", "green"), None: ("?   ", "yellow"), False: ("FAIL", "red")}[passed]
    console.print(f"{mark} {name:<10}", style=style, end=" ")
    console.print(text, markup=False)
    return {"name": name, "passed": passed, "text": text}


def _pipelines(endpoint: Endpoint) -> str:
    cluster = Cluster(endpoint)
    cluster.reach()
    version = cluster.version()
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if len(numbers) == 2 and tuple(numbers) < OLDEST:
        raise ClusterError(f"Kubeflow Pipelines is {version}, which refuses the packages (unknown field securityContext); install 2.17.")
    return f"Kubeflow Pipelines {version or 'of an unknown version'} answers at {endpoint.url}"


def _retries(core: _Core) -> str:
    """Stock KFP 2.17 retries a task whose pod is gone, and none that failed: its engine's default policy is OnError."""
    name = "workflow-controller-configmap"
    data = core.ask(lambda api: api.read_namespaced_config_map(name, SYSTEM, _request_timeout=TIMEOUT_S)).data or {}
    defaults = data.get("workflowDefaults") or (yaml.safe_load(data.get("config") or "{}") or {}).get("workflowDefaults") or {}
    defaults = yaml.safe_load(defaults) if isinstance(defaults, str) else defaults
    strategy = ((defaults or {}).get("spec", {}).get("templateDefaults") or {}).get("retryStrategy") or {}
    policy, limit = strategy.get("retryPolicy", "OnFailure"), str(strategy.get("limit", "none"))
    remedy = f"patch the ConfigMap {name} as docs/install.md says."
    if policy != "Always":
        raise ClusterError(f"tasks are retried {policy} only, so one that fails or runs out of memory ends the run; {remedy}")
    if limit not in ("0", "none"):
        raise ClusterError(f"every level of the engine retries {limit} times, which multiplies to many tries of one task; {remedy}")
    return "a task that fails is retried as its package says (retryPolicy Always)"


def _secret(core: _Core, namespace: str) -> str:
    found = core.ask(lambda api: api.read_namespaced_secret(SECRET, namespace, _request_timeout=TIMEOUT_S))
    missing = sorted(STORE_KEYS.keys() - (found.data or {}).keys())
    if missing:
        raise ClusterError(f"the Secret {SECRET} in {namespace} lacks {', '.join(missing)}; make it from store.env (docs/install.md).")
    return f"the Secret {SECRET} in {namespace} has {', '.join(sorted(STORE_KEYS))}"


def _bucket(bucket: str) -> str:
    if not os.environ.get(ENDPOINT):
        raise NotKnown(f"{ENDPOINT} is not set; set it and its keys to the store of the cluster to have the bucket asked")
    open_store(f"s3://{bucket}").list("doctor")
    return f"s3://{bucket} answers"


def _quota(core: _Core, namespace: str) -> str:
    quotas = core.ask(lambda api: api.list_namespaced_resource_quota(namespace, _request_timeout=TIMEOUT_S)).items
    lines = []
    for quota in quotas:
        hard, used = quota.status.hard or {}, quota.status.used or {}
        lines += [f"{name} {used.get(name, '0')} of {limit} in use ({quota.metadata.name})" for name, limit in sorted(hard.items())]
    return "; ".join(lines) if lines else f"no quota in {namespace}"


def _gpus(core: _Core) -> str:
    nodes = core.ask(lambda api: api.list_node(_request_timeout=TIMEOUT_S)).items
    counts = {node.metadata.name: int((node.status.allocatable or {}).get(GPU, "0")) for node in nodes}
    total = sum(counts.values())
    return f"{total} {GPU} on {sum(map(bool, counts.values()))} of {len(counts)} nodes" + ("" if total else "; set resources.gpus to 0")


class _Core:
    """The Kubernetes API, where this machine may ask it."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """The answer.

        Raises:
            NotKnown: there is no kubeconfig, the API does not respond, or the user lacks the permission.
            ClusterError: what is asked for does not exist.
        """
        from kubernetes import client, config  # type: ignore[import-untyped]
        from urllib3.exceptions import HTTPError

        try:
            if self._api is None:
                self._api = core_api()
            return question(self._api)
        except (config.ConfigException, HTTPError, OSError) as error:
            raise NotKnown(f"the Kubernetes API cannot be asked from here ({str(error).splitlines()[0][:120]})") from None
        except client.ApiException as error:
            if error.status in (401, 403):
                raise NotKnown(f"may not be read with this kubeconfig ({error.status}); ask an administrator") from None
            raise ClusterError(f"Kubernetes answers {error.status} {error.reason}: {_message(error)}") from None


def _message(error: Any) -> str:
    try:
        return str(yaml.safe_load(error.body or "")["message"])
    except (TypeError, KeyError, yaml.YAMLError):
        return ""
