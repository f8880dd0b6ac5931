"""The resources of a run.yaml, written into a compiled package. No kfp: a package is two YAML documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from detkds.lint import documents
from detkds.lint.pods import CACHE_ANNOTATION, CPUS_ANNOTATION, HOME, NODE_ANNOTATION, SHM, quantity
from detkds.pipeline.kubeflow.package import QUEUE_LABEL, RUN_LABEL, SEARCH, TRAIN, VOLUMES, disk_size
from detkds.pipeline.run_config import Resources, RunConfig
from detkds.pipeline.task import RUN
from detkds.plugins import VARIABLE

FOLLOWER_CPU, FOLLOWER_MEMORY = "500m", "2G"
"""Requests of a task that only follows a TrainJob."""


def nodes_of(config: RunConfig) -> dict[str, int]:
    """On how many nodes a task works, by how the name of its executor begins."""
    return {TRAIN: config.train.nodes, **dict.fromkeys(SEARCH, config.search.nodes)}


def with_resources(
    package: str, resources: Resources, claims: Iterable[str], *, run: str = "", nodes: Mapping[str, int] | None = None
) -> str:
    """The package with the resources of a run.yaml: CPUs, memory, nodes, a Kueue queue, and volume claims at /data/CLAIM.

    A task whose work is done on several nodes only makes a TrainJob and asks for no GPU.

    Args:
        package: one that breaks no rule of the lint.
        resources: of the run.yaml; what it does not say stays as the package has it.
        claims: names of the volume claims; one that the package mounts stays mounted there.
        run: name of the run, which its pods carry as a label and tell those who watch; empty: they tell the id that KFP gave the run.
        nodes: of each task, see `nodes_of`; None: each works in its pod.
    """
    parts = documents.read(package)
    claims = tuple(claims)
    containers = parts[0]["deploymentSpec"]["executors"]
    for name, platform in parts[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        asked = containers[name]["container"]["resources"]
        annotations = platform.setdefault("podMetadata", {}).setdefault("annotations", {})
        _mount(platform, claims)
        _mark(platform, run, resources)
        if "accelerator" in asked:
            _ask(asked, platform, resources)
            node = node_of(asked, platform)
            annotations[NODE_ANNOTATION] = json.dumps(node, sort_keys=True)
            follows = any(count > 1 and name.startswith(start) for start, count in (nodes or {}).items())
            if resources.gpus == 0 or follows:
                asked.pop("accelerator")
            if follows:
                asked |= _cpu(FOLLOWER_CPU) | _memory("Request", FOLLOWER_MEMORY)
        else:
            _lower(asked, resources)
        annotations[CPUS_ANNOTATION] = str(asked["resourceCpuRequest"])
    return documents.write(parts)


def with_plugins(package: str, plugins: str) -> str:
    """The package whose tasks load plugins, which must be importable in their image.

    Args:
        package: a compiled pipeline.
        plugins: as `plugins.loaded` gives them; without any the package stays as it is.
    """
    if not plugins:
        return package
    parts = documents.read(package)
    for executor in parts[0]["deploymentSpec"]["executors"].values():
        if "container" in executor:
            others = [entry for entry in executor["container"].get("env", []) if entry["name"] != VARIABLE]
            executor["container"]["env"] = [*others, {"name": VARIABLE, "value": plugins}]
    return documents.write(parts)


def node_of(asked: Mapping[str, Any], platform: Mapping[str, Any]) -> dict[str, Any]:
    """What each node of a TrainJob is asked for where this task makes one: as much as the task itself, as fields of TrainJob.

    Args:
        asked: resources of the task's container.
        platform: its settings for Kubernetes.
    """
    metadata = platform.get("podMetadata", {})
    return {
        "cpu": asked["resourceCpuRequest"],
        "memory": asked["resourceMemoryRequest"],
        "memory_limit": asked["resourceMemoryLimit"],
        "shm": next(mount["sizeLimit"] for mount in platform["emptyDirMounts"] if mount["mountPath"] == SHM),
        "gpu_type": asked["accelerator"]["resourceType"],
        "node_selector": platform.get("nodeSelector", {}).get("labels", {}),
        "claims": [mount["constant"] for mount in platform.get("pvcMount", [])],
        "store_secret": next((secret["secretName"] for secret in platform.get("secretAsEnv", [])), ""),
        "pull_secret": next((secret["secretName"] for secret in platform.get("imagePullSecret", [])), ""),
        "queue": metadata.get("labels", {}).get(QUEUE_LABEL, ""),
        "user": int(platform["securityContext"]["runAsUser"]),
    }


def _mark(platform: dict[str, Any], run: str, resources: Resources) -> None:
    """Write into a pod's metadata what has its place there: the run's name, the queue, how many images to keep."""
    labels = ({RUN_LABEL: run} if run else {}) | ({QUEUE_LABEL: resources.queue} if resources.queue else {})
    if labels:
        platform["podMetadata"].setdefault("labels", {}).update(labels)
    if run:
        others = [entry for entry in platform.get("fieldPathAsEnv", []) if entry["name"] != RUN]
        platform["fieldPathAsEnv"] = [*others, {"name": RUN, "fieldPath": f"metadata.labels['{RUN_LABEL}']"}]
    if resources.cache_gb:
        platform["podMetadata"]["annotations"][CACHE_ANNOTATION] = str(resources.cache_gb)
        for mount in platform["emptyDirMounts"]:
            if mount["mountPath"] == HOME:
                mount["sizeLimit"] = disk_size(resources.cache_gb)


def _mount(platform: dict[str, Any], claims: Iterable[str]) -> None:
    mounted = {mount.get("mountPath") for mount in platform.get("pvcMount", [])}
    mounts = [
        {"constant": claim, "mountPath": f"{VOLUMES}/{claim}", "pvcNameParameter": {"runtimeValue": {"constant": claim}}}
        for claim in claims
        if f"{VOLUMES}/{claim}" not in mounted
    ]
    if mounts:
        platform["pvcMount"] = [*platform.get("pvcMount", []), *mounts]


def _ask(asked: dict[str, Any], platform: dict[str, Any], resources: Resources) -> None:
    """Set CPUs, memory, /dev/shm and nodes of a task with a GPU. How many GPUs, the package's parameter `gpus` says."""
    if resources.cpu:
        asked |= _cpu(f"{resources.cpu:g}")
    if resources.memory_gb:
        _limit_memory(asked, platform, resources.memory_gb)
    if resources.shm_gb:
        _limit_shm(platform, f"{resources.shm_gb}G")
    if resources.node_selector:
        platform.setdefault("nodeSelector", {}).setdefault("labels", {}).update(resources.node_selector)


def _lower(asked: dict[str, Any], resources: Resources) -> None:
    """A task without a GPU requests no more than one with a GPU may have."""
    if resources.cpu and quantity(asked["resourceCpuRequest"]) > resources.cpu:
        asked |= _cpu(f"{resources.cpu:g}")
    for end in ("Request", "Limit"):
        if resources.memory_gb and quantity(asked[f"resourceMemory{end}"]) > resources.memory_gb * 1e9:
            asked |= _memory(end, f"{resources.memory_gb}G")


def _limit_memory(asked: dict[str, Any], platform: dict[str, Any], limit_gb: int) -> None:
    """Set a memory limit; what is asked for, and /dev/shm, which counts against it, may not be above it."""
    limit = f"{limit_gb}G"
    asked |= _memory("Limit", limit)
    if quantity(asked["resourceMemoryRequest"]) > quantity(limit):
        asked |= _memory("Request", limit)
    for mount in platform["emptyDirMounts"]:
        if mount["mountPath"] == SHM and quantity(mount["sizeLimit"]) > quantity(limit) / 2:
            mount["sizeLimit"] = f"{limit_gb * 500}M"


def _limit_shm(platform: dict[str, Any], size: str) -> None:
    for mount in platform["emptyDirMounts"]:
        if mount["mountPath"] == SHM:
            mount["sizeLimit"] = size


def _cpu(count: str) -> dict[str, Any]:
    """KFP has each quantity twice: as a number for older backends, and as text."""
    return {"cpuRequest": quantity(count), "resourceCpuRequest": count}


def _memory(end: str, size: str) -> dict[str, Any]:
    return {f"memory{end}": quantity(size) / 1e9, f"resourceMemory{end}": size}
