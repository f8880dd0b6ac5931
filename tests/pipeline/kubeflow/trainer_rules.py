"""What Kubeflow Trainer 2.3.0 takes as a TrainJob: its own models, and the rules of its CRD and of its webhook that models do not have.

Sources, in github.com/kubeflow/trainer: the models are the package kubeflow-trainer-api 2.3.0, generated from the API; rules of the CRD
from the markers in pkg/apis/trainer/v1alpha1/trainjob_types.go; rules of the webhook from pkg/runtime/framework/plugins/jobset/jobset.go
and torch/torch.go. The refusal of a manager without a domain was seen on a live cluster, word for word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubeflow_trainer_api.models.trainer_v1alpha1_train_job import TrainerV1alpha1TrainJob

JOBS = {"node": {"node"}}
"""Replicated jobs of the runtime torch-distributed, with the names of their containers."""
RESERVED = {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"}
WEBHOOK = 'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request: '


def refusal(manifest: dict[str, Any]) -> tuple[int, str] | None:
    """Status and message with which the API refuses a TrainJob; None where it is taken."""
    if unknown := sorted(_unknown(manifest)):
        return 400, f'strict decoding error: unknown field "{unknown[0]}"'
    if broken := list(_crd(manifest)):
        name = manifest["metadata"]["name"]
        return 422, f'TrainJob.trainer.kubeflow.org "{name}" is invalid: {broken[0]}'
    if broken := list(_webhook(manifest["spec"])):
        return 403, WEBHOOK + broken[0]
    return None


def _unknown(manifest: dict[str, Any]) -> set[str]:
    """Fields that Trainer's models do not have, by what is lost when they read the object and write it again."""
    read = TrainerV1alpha1TrainJob.from_dict(manifest)
    assert read is not None
    return set(_paths(manifest)) - set(_paths(read.to_dict()))


def _paths(value: Any, at: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, f"{at}.{name}".strip("."))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _paths(inner, f"{at}[{place}]")
    else:
        yield at


def _crd(manifest: dict[str, Any]) -> Iterator[str]:
    name, spec = manifest["metadata"]["name"], manifest["spec"]
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
        yield "metadata.name must match RFC 1035 DNS label format"
    if len(name) > 63:
        yield "metadata.name must be no more than 63 characters"
    if not spec.get("runtimeRef", {}).get("name"):
        yield "spec.runtimeRef.name: Required value"
    patches = spec.get("runtimePatches", [])
    managers = [patch.get("manager", "") for patch in patches]
    if len(patches) > 16 or len(set(managers)) < len(managers):
        yield "spec.runtimePatches: Invalid value"
    if not all(0 < len(manager) <= 253 for manager in managers):
        yield "spec.runtimePatches.manager: Invalid value"
    for entry in _listed(spec):
        names = [item["name"] for item in entry]
        if len(set(names)) < len(names) or len(names) > 128:
            yield f"Duplicate value: {names}"


def _listed(spec: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Lists that are maps by name."""
    yield spec["trainer"].get("env", [])
    for pod in _pods(spec):
        yield from (pod.get(name, []) for name in ("volumes", "containers", "initContainers", "imagePullSecrets"))


def _pods(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for _, job in _patched(spec):
        yield job["template"]["spec"]["template"]["spec"]


def _patched(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for patch in spec.get("runtimePatches", []):
        for job in patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]:
            yield job["name"], job


def _webhook(spec: dict[str, Any]) -> Iterator[str]:
    for patch in spec.get("runtimePatches", []):
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", patch["manager"]):
            yield (
                f'spec.runtimePatches.manager: Invalid value: "{patch["manager"]}": must be a domain-prefixed path (such as "acme.io/foo")'
            )
    for name, job in _patched(spec):
        if name not in JOBS:
            yield "spec.runtimePatches: Invalid value: must not have job that doesn't exist in the runtime job template"
            continue
        for container in job["template"]["spec"]["template"]["spec"].get("containers", []):
            if container["name"] not in JOBS[name]:
                yield f"spec.runtimePatches: Invalid value: must not have container that doesn't exist in the runtime job {name}"
            elif container.get("env"):
                yield "must not have envs for the dataset-initializer, model-initializer, node containers"
    if reserved := sorted(RESERVED & {entry["name"] for entry in spec["trainer"].get("env", [])}):
        yield f"spec.trainer.env: Invalid value: must not have reserved envs, invalid envs configured: {reserved}"
