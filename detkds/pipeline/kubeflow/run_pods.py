"""The pods of a run, asked of the cluster itself where this machine may: why one waits, and what one said last."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from detkds.pipeline.kubeflow.core_api import core_api
from detkds.pipeline.progress import ERROR

NODE_NAME = "workflows.argoproj.io/node-name"
"""The annotation with the engine's full name of a pod, such as detkds-search-9h52v(0).root(0).evolve(0).executor(0)."""
TIMEOUT_S = 4.0
LINES = 8
T = TypeVar("T")


class RunPods:
    """The pods of runs in one namespace, through the kubeconfig of this machine. Every question may stay without an answer.

    Args:
        namespace: of the runs.
        api: a `kubernetes.client.CoreV1Api`; None: of the kubeconfig.
    """

    def __init__(self, namespace: str, api: Any = None) -> None:
        self.namespace = namespace
        self._api = api
        self._silent = False

    def reasons(self, run: str) -> dict[str, str] | None:
        """Why pods of a run wait, by the path of their task's node; None where the cluster cannot be asked."""
        pods = self._pods(run)
        if not pods:
            return None
        return {_task(pod): reason for pod in pods if (reason := self._reason(pod))}

    def last_lines(self, run: str, path: str) -> list[str]:
        """The end of the log of the last pod of the task at `path`; of an error of ours only that. Empty where it cannot be had."""
        pods = [pod for pod in self._pods(run) or [] if _task(pod) == path]
        if not pods:
            return []
        name = max(pods, key=lambda pod: str(pod.metadata.creation_timestamp)).metadata.name
        text = self._ask(
            lambda api: api.read_namespaced_pod_log(name, self.namespace, container="main", tail_lines=50, _request_timeout=TIMEOUT_S)
        )
        lines = [line for line in (text or "").splitlines() if line.strip()]
        faults = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
        return faults[-LINES:] or lines[-LINES:]

    def _pods(self, run: str) -> list[Any] | None:
        found = self._ask(
            lambda api: api.list_namespaced_pod(self.namespace, label_selector=f"pipeline/runid={run}", _request_timeout=TIMEOUT_S)
        )
        return None if found is None else [pod for pod in found.items if NODE_NAME in (pod.metadata.annotations or {})]

    def _reason(self, pod: Any) -> str:
        """Why a pod does not work; empty for one that does."""
        if pod.status.phase != "Pending":
            return ""
        for condition in pod.status.conditions or []:
            if condition.type == "PodScheduled" and condition.status == "False" and condition.message:
                return _line(condition.message)
        statuses = [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]
        for state in (status.state.waiting for status in statuses if status.state and status.state.waiting):
            if state.reason not in ("PodInitializing", "ContainerCreating"):
                return _line(f"{state.reason}: {state.message}" if state.message else str(state.reason))
        return self._event(pod.metadata.name)

    def _event(self, pod: str) -> str:
        events = self._ask(
            lambda api: api.list_namespaced_event(
                self.namespace, field_selector=f"involvedObject.name={pod},type=Warning", _request_timeout=TIMEOUT_S
            )
        )
        return _line(f"{events.items[-1].reason}: {events.items[-1].message}") if events and events.items else ""

    def _ask(self, question: Callable[[Any], T]) -> T | None:
        """The response; None without a kubeconfig, a response or the permission. After one failure no more requests are sent."""
        from kubernetes import client, config  # type: ignore[import-untyped]
        from urllib3.exceptions import HTTPError

        if self._silent:
            return None
        try:
            if self._api is None:
                self._api = core_api()
            return question(self._api)
        except (config.ConfigException, HTTPError, OSError):
            self._silent = True
        except client.ApiException as error:
            self._silent = error.status in (401, 403)
        return None


def _task(pod: Any) -> str:
    """The path of the task that a pod works for: its node without the executor and the numbers of its tries."""
    return re.sub(r"(\(\d+\))?\.executor\(\d+\)$", "", str(pod.metadata.annotations[NODE_NAME]))


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
