"""The compiled pipelines as this library carries them, and what a run may change in them. No kfp: a package is two YAML documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import yaml

from detkds.lint import Package
from detkds.lint.pods import CACHE_ANNOTATION, HOME, quantity
from detkds.pipeline.run_config import Resources
from detkds.pipeline.task import RUN

TRAIN = "exec-train"
"""How the names of the executors of the full training begin."""
NODE = "DETKDS_NODE"
"""The environment variable with what each node of a TrainJob is asked for, as JSON."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
RUN_LABEL = "detkds/run"
"""The label of a pod with the run's name. Unlike a task's inputs, a pod's metadata are no part of the key of KFP's cache."""
STORE_KEYS = {"endpoint": "DETKDS_S3_ENDPOINT", "accesskey": "DETKDS_S3_ACCESS_KEY", "secretkey": "DETKDS_S3_SECRET_KEY"}
"""The keys of the store's Secret and the variables that they become in a task."""
VOLUMES = "/data"
"""Where a claim is mounted in a task: /data/CLAIM."""
SPARE_GB = 10
"""What a task may keep beside images: annotations, checkpoints, unfinished work."""


def compiled(pipeline: str) -> str:
    """The YAML of a pipeline, "search" or "transfer"."""
    return (files("detkds") / "compiled" / f"{pipeline}.yaml").read_text()


def parameter_defaults(package: str) -> dict[str, Any]:
    """The parameters of a package with their defaults; None where one has to be given."""
    return {name: described.get("defaultValue") for name, described in Package.parse(package).parameters.items()}


def disk_size(cache_gb: int) -> str:
    """The size of the folder of a task that keeps so many gigabytes of images."""
    return f"{cache_gb + SPARE_GB}G"


def without_retries(package: str) -> str:
    """The package without retries, which wait minutes for a cluster to mend; here an error is shown at once, and the command goes on."""
    documents = _documents(package)
    for task in documents[0]["root"]["dag"]["tasks"].values():
        task.pop("retryPolicy", None)
    return yaml.safe_dump_all(documents)


def with_resources(package: str, resources: Resources, claims: Iterable[str], *, run: str = "", train_nodes: int = 1) -> str:
    """The package with what a run.yaml asks of the cluster: memory, nodes, a Kueue queue, and volume claims at /data/CLAIM.

    Where the full training is to run on several nodes, its task only makes a TrainJob: it asks for no GPU, and gets what nodes need.

    Args:
        package: one that breaks no rule of the lint.
        resources: of the run.yaml; what it does not say stays as the package has it.
        claims: names of the volume claims; one that the package mounts stays mounted there.
        run: name of the run, which its pods carry as a label and tell those who watch; empty: they tell the id that KFP gave the run.
        train_nodes: of the full training.
    """
    documents = _documents(package)
    claims = tuple(claims)
    containers = documents[0]["deploymentSpec"]["executors"]
    for name, platform in documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        container = containers[name]["container"]
        if "accelerator" in container["resources"]:
            _ask(container["resources"], platform, resources)
            if train_nodes > 1 and name.startswith(TRAIN):
                container["resources"].pop("accelerator", None)
                container.setdefault("env", []).append({"name": NODE, "value": _node(resources, claims)})
        _mark(platform, run, resources)
        mounted = {mount.get("mountPath") for mount in platform.get("pvcMount", [])}
        if mounts := [mount for mount in map(_mount, claims) if mount["mountPath"] not in mounted]:
            platform["pvcMount"] = [*platform.get("pvcMount", []), *mounts]
    return yaml.safe_dump_all(documents, sort_keys=False)


def _mark(platform: dict[str, Any], run: str, resources: Resources) -> None:
    """Write into a pod's metadata what has its place there: the run's name, the queue, how many images to keep."""
    labels = ({RUN_LABEL: run} if run else {}) | ({QUEUE_LABEL: resources.queue} if resources.queue else {})
    if labels:
        platform.setdefault("podMetadata", {}).setdefault("labels", {}).update(labels)
    if run:
        others = [entry for entry in platform.get("fieldPathAsEnv", []) if entry["name"] != RUN]
        platform["fieldPathAsEnv"] = [*others, {"name": RUN, "fieldPath": f"metadata.labels['{RUN_LABEL}']"}]
    if resources.cache_gb:
        platform["podMetadata"].setdefault("annotations", {})[CACHE_ANNOTATION] = str(resources.cache_gb)
        for mount in platform["emptyDirMounts"]:
            if mount["mountPath"] == HOME:
                mount["sizeLimit"] = disk_size(resources.cache_gb)


def _ask(asked: dict[str, Any], platform: dict[str, Any], resources: Resources) -> None:
    """Set the GPU task's memory and nodes. How many GPUs, the package's parameter `gpus` says; a task without them asks for none."""
    if resources.gpus == 0:
        del asked["accelerator"]
    if resources.memory_gb:
        _limit_memory(asked, platform, resources.memory_gb)
    if resources.node_selector:
        platform.setdefault("nodeSelector", {}).setdefault("labels", {}).update(resources.node_selector)


def _node(resources: Resources, claims: tuple[str, ...]) -> str:
    """What each node of a TrainJob is asked for, as fields of TrainJob; a memory limit lowers what depends on it as in a task."""
    asked: dict[str, Any] = {"node_selector": resources.node_selector, "claims": claims, "queue": resources.queue}
    if resources.memory_gb:
        memory = f"{resources.memory_gb}G"
        asked |= {"memory": memory, "memory_limit": memory, "shm": f"{resources.memory_gb * 250}M"}
    return json.dumps(asked)


def _limit_memory(asked: dict[str, Any], platform: dict[str, Any], limit_gb: int) -> None:
    """Set a memory limit; what is asked for, and /dev/shm, which counts against it, may not be above it."""
    asked |= {"memoryLimit": float(limit_gb), "resourceMemoryLimit": f"{limit_gb}G"}
    if quantity(asked["resourceMemoryRequest"]) > limit_gb * 1e9:
        asked |= {"memoryRequest": float(limit_gb), "resourceMemoryRequest": f"{limit_gb}G"}
    for mount in platform["emptyDirMounts"]:
        if mount.get("medium") == "Memory" and quantity(mount["sizeLimit"]) > limit_gb * 1e9 / 2:
            mount["sizeLimit"] = f"{limit_gb * 500}M"


def _mount(claim: str) -> Mapping[str, Any]:
    return {"constant": claim, "mountPath": f"{VOLUMES}/{claim}", "pvcNameParameter": {"runtimeValue": {"constant": claim}}}


def _documents(package: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(package))
