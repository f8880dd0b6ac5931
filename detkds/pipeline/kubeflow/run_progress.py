"""What is shown of a run that is followed: each change of a task, why one waits, what a failed one said last."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from detkds.pipeline.kubeflow import run_tasks
from detkds.pipeline.kubeflow.run_pods import RunPods
from detkds.pipeline.kubeflow.run_tasks import RunTask

WAIT_S = 60.0
"""How long a pod may wait before the reason is looked for."""


class Progress:
    """The lines of a run.

    Args:
        run: its id.
        show: called with each line.
        names: display names of the tasks; None: those of the pipeline that the API has with the run.
        pods: asked for reasons and logs; None: the lines name the commands.
    """

    def __init__(self, run: str, show: Callable[[str], None], names: Mapping[str, str] | None, pods: RunPods | None) -> None:
        self._run, self._show, self._names, self._pods = run, show, names, pods
        self._told: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._reasons: set[str] = set()
        self._errors: set[str] = set()

    def tell(self, run: Any) -> None:
        """Show what changed since the last response of the API."""
        if self._names is None:
            specification = run.pipeline_spec or {}
            self._names = run_tasks.display_names(specification.get("pipeline_spec", specification))
        details = (run.run_details.task_details if run.run_details else None) or []
        tasks = run_tasks.read(details, self._names)
        for task in tasks:
            if self._told.get(task.path) != str(task):
                self._told[task.path] = str(task)
                self._show(f"[{task.name}] {task}")
                if task.state == "failed":
                    self._tell_end(task)
        self._tell_waiting(run_tasks.waiting(details), {task.path: task.name for task in tasks})
        for detail in details:
            if detail.error and detail.error.message and detail.task_id not in self._errors:
                self._errors.add(detail.task_id)
                self._show(f"[{detail.display_name or 'run'}] {_line(detail.error.message)}")
        if run.state == "FAILED" and run.error and run.error.message:
            self._show(f"[run] failed: {_line(run.error.message)}")

    def _tell_end(self, task: RunTask) -> None:
        lines = self._pods.last_lines(self._run, task.path) if self._pods else []
        for line in lines:
            self._show(f"[{task.name}] | {_line(line)}")
        if not lines:
            self._show(f"[{task.name}] its log: {self._kubectl('get pods')}, then kubectl logs POD -c main")

    def _tell_waiting(self, pods: set[str], names: Mapping[str, str]) -> None:
        """Say why pods wait, once a reason; `names` are those of the tasks by path."""
        now = time.monotonic()
        self._since = {pod: self._since.get(pod, now) for pod in pods}
        long = [pod for pod, since in self._since.items() if now - since >= WAIT_S]
        if not long:
            return
        reasons = self._pods.reasons(self._run) if self._pods else None
        lines = {f"[{names.get(path, path)}] waits: {reason}" for path, reason in (reasons or {}).items()}
        if not lines:
            lines = {f"[run] a pod has waited for more than a minute; {self._kubectl('get pods')}, then kubectl describe pod POD, say why"}
        for line in sorted(lines - self._reasons):
            self._show(line)
        self._reasons |= lines

    def _kubectl(self, verb: str) -> str:
        namespace = f" -n {self._pods.namespace}" if self._pods else ""
        return f"kubectl{namespace} {verb} -l pipeline/runid={self._run}"


def _line(text: str) -> str:
    return " ".join(text.split())[:500]
