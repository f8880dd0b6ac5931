"""Trainer: Kubeflow Trainer in a cluster, asked to make a TrainJob and followed to its end."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from detkds.errors import ClusterError, Interrupted
from detkds.pipeline.kubeflow.trainjob import GROUP, LABELS, PLURAL, VERSION, State, TrainJob, state

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
MISSES = 20
"""How many questions in a row may stay without an answer."""
OURS = ",".join(f"{name}={value}" for name, value in LABELS.items())
OTHERS_S = 3600.0
"""How long another job's nodes are waited for."""
WAIT_S = 120.0
"""How long no node may be ready before it is said where the reason stands."""


class Trainer:
    """Kubeflow Trainer in one namespace of a cluster.

    Args:
        namespace: empty: this pod's own.
        api: a `kubernetes.client.CustomObjectsApi`; None: the cluster that this pod runs in.

    Raises:
        ClusterError: this is not a pod with a service account.
    """

    def __init__(self, namespace: str = "", api: Any = None) -> None:
        if api is None:
            from kubernetes import client, config  # type: ignore[import-untyped]

            try:
                config.load_incluster_config()
                namespace = namespace or NAMESPACE_FILE.read_text().strip()
            except (config.ConfigException, OSError) as error:
                raise ClusterError(f"a TrainJob is made from a pod with a service account, but {error}.", final=True) from None
            api = client.CustomObjectsApi()
        self._api, self.namespace = api, namespace

    def run(
        self,
        job: TrainJob,
        *,
        show: Callable[[str], None],
        turn: AbstractContextManager[object] | None = None,
        interval_s: float = 10.0,
    ) -> None:
        """Create a job, or take up the one of this name, and follow it to its end. One that failed before is made again.

        SIGTERM deletes the job, whose processes then write their checkpoint; the same call resumes from there.

        Args:
            job: what is asked for.
            show: called with lines of progress.
            turn: entered before a job is made, once the nodes of every other job of ours are at work, and left when those of this one are:
                of two jobs that start together each could hold half of the nodes that both need. None: a queue admits jobs as a whole.
            interval_s: between two questions.

        Raises:
            ClusterError: the API cannot be reached or refuses, or the job failed.
            Interrupted: SIGTERM came.
        """
        before = self._get(job.name)
        if before is not None and state(before)[0] is State.FAILED:
            self._delete(job.name)
            self._await(lambda: self._get(job.name) is None, interval_s)
            before = None
        with _on_term(), ExitStack() as held:
            try:
                if before is None:
                    if turn is not None:
                        held.enter_context(turn)
                        self._await_others(job.name, show, interval_s)
                    self._call("create", lambda: self._api.create_namespaced_custom_object(*self._place, job.manifest()))
                    show(f"TrainJob {self.namespace}/{job.name} on {job.nodes} nodes with {job.gpus} GPU(s) each")
                self._follow(job.name, show, interval_s, at_work=held.close)
            except Interrupted:
                self._delete(job.name)
                raise

    def _await_others(self, name: str, show: Callable[[str], None], interval_s: float) -> None:
        """Return when no other job of ours waits for its nodes, or after an hour: one that nobody follows may wait for ever."""
        began, shown = time.monotonic(), ""
        while time.monotonic() - began < OTHERS_S:
            found = self._call("list", lambda: self._api.list_namespaced_custom_object(*self._place, label_selector=OURS))
            waiting = [job for job in found["items"] if state(job)[0] is State.RUNNING and not _ready(job)]
            others = sorted(str(job["metadata"]["name"]) for job in waiting if job["metadata"]["name"] != name)
            if not others:
                return
            line = f"TrainJob {name} is not made yet: {', '.join(others)} waits for its nodes"
            if line != shown:
                show(f"{line}; delete it if nobody needs it: kubectl -n {self.namespace} delete trainjob {others[0]}")
            shown = line
            time.sleep(interval_s)

    def _follow(self, name: str, show: Callable[[str], None], interval_s: float, at_work: Callable[[], None]) -> None:
        shown, asleep = "", time.monotonic()
        while True:
            job = self._patiently(name, interval_s)
            found, message = state(job)
            if found is State.COMPLETE:
                return
            if found is State.FAILED:
                reason = message or "without a reason"
                raise ClusterError(f"TrainJob {self.namespace}/{name} failed: {reason}; see the logs of its pods.", final=True)
            line = _line(job, found, message)
            if line != shown:
                show(f"TrainJob {name}: {line}")
            shown = line
            if _ready(job):
                at_work()
                asleep = math.inf
            elif time.monotonic() - asleep > WAIT_S:
                look = f"kubectl -n {self.namespace} describe jobset/{name} and get events say why"
                show(f"TrainJob {name}: its nodes are not all ready; {look}")
                asleep = math.inf
            time.sleep(interval_s)

    def _patiently(self, name: str, interval_s: float) -> dict[str, Any]:
        """The job; a server that is away is asked again, MISSES times in a row."""
        for _ in range(MISSES):
            try:
                job = self._get(name)
            except ClusterError as error:
                if error.final:
                    raise
                last = error
                time.sleep(interval_s)
                continue
            if job is None:
                raise ClusterError(f"TrainJob {self.namespace}/{name} was deleted by someone; run again.")
            return job
        raise last

    def _await(self, condition: Callable[[], bool], interval_s: float) -> None:
        for _ in range(MISSES):
            if condition():
                return
            time.sleep(interval_s)
        raise ClusterError(f"a TrainJob that failed before is still being deleted in {self.namespace}; run again.")

    @property
    def _place(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, PLURAL

    def _get(self, name: str) -> dict[str, Any] | None:
        found = self._call("read", lambda: self._api.get_namespaced_custom_object(*self._place, name), missing=True)
        return dict(found) if found is not None else None

    def _delete(self, name: str) -> None:
        self._call("delete", lambda: self._api.delete_namespaced_custom_object(*self._place, name), missing=True)

    def _call(self, verb: str, ask: Callable[[], Any], *, missing: bool = False) -> Any:
        from kubernetes.client import ApiException  # type: ignore[import-untyped]
        from urllib3.exceptions import HTTPError

        try:
            return ask()
        except ApiException as error:
            message, kind = _reason(error)
            if error.status == 404 and kind is not None and missing:
                return None
            raise _refusal(f"{verb} the TrainJob in {self.namespace}", int(error.status or 0), message, known=kind is not None) from None
        except HTTPError as error:
            raise ClusterError(f"the Kubernetes API cannot be reached: {str(error).splitlines()[0]}; is its network policy open?") from None


def _ready(job: Mapping[str, Any]) -> bool:
    """Whether all nodes of a job are at work: its one replicated job counts as ready only then."""
    return any(part.get("ready") or part.get("succeeded") for part in job.get("status", {}).get("jobsStatus", []))


def _line(job: Mapping[str, Any], found: State, message: str) -> str:
    parts = job.get("status", {}).get("jobsStatus", [])
    counts = [f"{part['name']}: {part.get('active', 0)} active, {part.get('failed', 0)} failed" for part in parts]
    return ", ".join([f"{found.value}: {message}" if message else found.value, *counts])


def _reason(error: Any) -> tuple[str, str | None]:
    """The message of a refusal, and the kind of object that it is about; None where the API does not know such objects."""
    try:
        body = json.loads(error.body)
        return " ".join(str(body.get("message", error.reason)).split()), (body.get("details") or {}).get("name")
    except (ValueError, TypeError, AttributeError):
        return str(error.reason), None


def _refusal(what: str, status: int, message: str, *, known: bool) -> ClusterError:
    if status == 403 and "quota" in message:
        remedy = "ask for fewer nodes or GPUs, or wait for others to end"
    elif status == 401 or (status == 403 and "admission webhook" not in message):
        remedy = "give the service account the role of manifests/components/trainjob"
    elif status == 404 and not known:
        remedy = "install Kubeflow Trainer 2 (its TrainJob is not known here), or set train.nodes to 1"
    else:
        remedy = "correct what it names" if 400 <= status < 500 and status != 429 else "run again"
    final = 400 <= status < 500 and status not in (408, 429)
    return ClusterError(f"Kubernetes does not {what}: {status} {message}; {remedy}.", final=final)


@contextmanager
def _on_term() -> Iterator[None]:
    """SIGTERM is an Interrupted inside."""

    def on_term(number: int, frame: FrameType | None) -> None:
        raise Interrupted("SIGTERM was received; the TrainJob is deleted, and its checkpoint is in the store: run again.")

    previous = signal.signal(signal.SIGTERM, on_term)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
