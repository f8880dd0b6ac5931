"""The rules for the pod of a task: device, memory, time, identity."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from detkds.lint.package import Task

_UNITS = {"": 1, "m": 1e-3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
SHM = "/dev/shm"
HOME = "/tmp/detkds"
"""Where a task keeps images, checkpoints and unfinished work: DETKDS_HOME of our images."""
CACHE_ANNOTATION = "detkds/cache-gb"
"""The annotation of a pod from which DETKDS_CACHE_GB comes: the gigabytes of images that the task keeps."""
CPUS_ANNOTATION = "detkds/cpus"
"""The annotation from which DETKDS_CPUS comes: the CPUs that the task requests, which decide the number of its threads."""
NODE_ANNOTATION = "detkds/node"
"""The annotation from which DETKDS_NODE comes: what each node of a TrainJob is asked for, as JSON."""
ARGO_WINDOW_S = 3600
"""The window in which KFP retries where none is set, counted from the first attempt's start."""


def quantity(text: str) -> float:
    """A quantity of Kubernetes as a number: "8Gi" is 8·2³⁰, "500m" is 0.5; 0 for a text that is not a quantity, such as a placeholder."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(m|[KMGT]i?)?", text)
    return float(found[1]) * _UNITS[found[2] or ""] if found else 0.0


def _resources(task: Task) -> Iterator[str]:
    """A pod without requests lands anywhere, one without a memory limit takes its node along; both field sets serve older backends."""
    missing = [name for name in ("resourceCpuRequest", "resourceMemoryRequest", "resourceMemoryLimit") if not task.resources.get(name)]
    if missing:
        yield f"a task must ask for CPU and memory, {', '.join(missing)} is missing; see pipelines/resources.py."
    request, limit = (str(task.resources.get(f"resourceMemory{end}", "")) for end in ("Request", "Limit"))
    if limit and quantity(request) > quantity(limit):
        yield f"the memory asked for may not be above its limit, got {request} and {limit}; the API server refuses such a pod."
    accelerator = task.resources.get("accelerator", {})
    if task.on_gpu and not (accelerator.get("resourceType") and accelerator.get("resourceCount")):
        yield "the accelerator must have resourceType and resourceCount, or newer backends drop it; compile with kfp 2.17."


def _shared_memory(task: Task) -> Iterator[str]:
    """A container has 64 MiB of /dev/shm: data loaders die of a bus error (kubeflow/pipelines#9893)."""
    mounts = [mount for mount in task.settings.get("emptyDirMounts", []) if mount.get("mountPath") == SHM]
    if task.on_gpu and not any(mount.get("medium") == "Memory" for mount in mounts):
        yield f"a task with a GPU must mount memory at {SHM}; use kubernetes.empty_dir_mount(medium='Memory')."
    limit = quantity(str(task.resources.get("resourceMemoryLimit", "")))
    for mount in mounts:
        size = quantity(str(mount.get("sizeLimit", "")))
        if not size:
            yield f"{SHM} must have a size limit; without one it may take the node's memory."
        elif limit and size >= limit:
            yield f"{SHM} counts against the memory limit and must be smaller, got {mount['sizeLimit']} of {limit / 2**30:.0f} GiB."


def _disk(task: Task) -> Iterator[str]:
    """Fetched files fill a node's disk until pods are evicted; there is no field for ephemeral storage (kubeflow/pipelines#11137)."""
    sizes = {mount.get("mountPath"): quantity(str(mount.get("sizeLimit", ""))) for mount in task.settings.get("emptyDirMounts", [])}
    size = sizes.get(HOME, 0.0)
    bound = quantity(f"{task.settings.get('podMetadata', {}).get('annotations', {}).get(CACHE_ANNOTATION, '')}G")
    if not size:
        yield f"a task must have a folder with a size limit at {HOME}; use kubernetes.empty_dir_mount."
    elif not 0 < bound < size:
        yield (
            f"the images that a task keeps must be bounded below the {size / 1e9:.0f} GB of {HOME}, got {bound / 1e9:.0f} GB; "
            f"use kubernetes.add_pod_annotation({CACHE_ANNOTATION!r})."
        )


def _tolerations(task: Task) -> Iterator[str]:
    """Nodes with GPUs are tainted in most clusters: without a toleration the pod waits for ever."""
    keys = {toleration.get("key") for toleration in task.settings.get("tolerations", [])}
    if task.on_gpu and str(task.resources["accelerator"].get("resourceType")) not in keys:
        yield "a task with a GPU must tolerate the taint of its nodes; use kubernetes.add_toleration."


def _timeout(task: Task) -> Iterator[str]:
    """A pod that hangs keeps its GPU until somebody looks."""
    if not _deadline_s(task):
        yield "a task must have a deadline; use kubernetes.set_timeout."


def _retry(task: Task) -> Iterator[str]:
    """Argo counts the window from the first attempt's start and ends retries with it: it must hold every attempt at its longest."""
    policy = task.spec.get("retryPolicy", {})
    retries = int(policy.get("maxRetryCount", 0))
    if not retries:
        yield "a task must be retried, nodes fail; use set_retry."
        return
    window = float(str(policy.get("backoffMaxDuration", f"{ARGO_WINDOW_S}s")).removesuffix("s"))
    attempts = f"{retries + 1} attempts of {_deadline_s(task)} s"
    if window <= max((retries + 1) * _deadline_s(task), ARGO_WINDOW_S):
        yield f"the retry window must be longer than {attempts}, got {window:.0f} s; raise backoff_max_duration."
    if float(policy.get("backoffFactor", 1)) % 1:
        yield f"the backoff factor must be a whole number, got {policy['backoffFactor']}."


def _deadline_s(task: Task) -> int:
    return int(task.settings.get("activeDeadlineSeconds", 0))


def _identity(task: Task) -> Iterator[str]:
    """The restricted Pod Security Standard; what the DSL cannot set (capabilities, seccomp, escalation) the backend of 2.17 sets."""
    context = task.settings.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or int(context.get("runAsUser", 0)) < 1:
        yield "a task must run as a numeric user that is not root; use kubernetes.set_security_context."


PODS: Mapping[str, Callable[[Task], Iterator[str]]] = {
    "resources": _resources,
    "shared-memory": _shared_memory,
    "disk": _disk,
    "toleration": _tolerations,
    "timeout": _timeout,
    "retry": _retry,
    "identity": _identity,
}
