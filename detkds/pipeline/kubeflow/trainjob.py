"""TrainJob: one training on several nodes, as Kubeflow Trainer takes it (trainer.kubeflow.org/v1alpha1).

The manifest follows the API of Kubeflow Trainer 2.3 (`runtimePatches`, not the older `podTemplateOverrides`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from detkds.lint.pods import HOME
from detkds.pipeline.kubeflow.package import disk_size
from detkds.storage.image_cache import DEFAULT_GB

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
RUNTIME = "torch-distributed"
LABELS = {"app.kubernetes.io/part-of": "detkds"}
"""Of each job that we make."""
NODE = "node"
"""Name of the replicated job and of its container in Trainer's torch runtimes."""
MANAGER = "detkds.dev/pipeline"
"""The manager of our patch: Trainer requires a domain and a path."""
ACCOUNT = "detkds-node"
"""The service account of the nodes' pods, made by manifests/components/trainjob: without rights, its token mounted nowhere. A patch
cannot say `automountServiceAccountToken`, an account can."""


@dataclass(frozen=True)
class TrainJob:
    """What is asked of Trainer. Quantities are Kubernetes' own.

    Args:
        name: of the job; at most 50 characters of a DNS label, since pods' names are made of it.
        image: container image.
        command: run by torchrun's environment on each node, one agent a node.
        nodes: how many.
        gpus: of each node, and so many processes.
        cpu, memory, memory_limit: of each node; /dev/shm counts.
        shm: size of /dev/shm.
        store_secret: name of the Secret whose keys become the variables `secret_keys` (key to variable).
        secret_keys: see `store_secret`.
        optional_keys: as `secret_keys`, of keys that the Secret need not have.
        optional_secrets: keys of further Secrets, by name; neither a Secret nor a key need exist.
        environment: further variables.
        gpu_type: resource by which the cluster counts GPUs; also the taint that the pods tolerate.
        node_selector: labels of the nodes.
        claims: volume claims, each mounted at `volumes`/CLAIM.
        volumes: folder of the mounts.
        disk: size of the folder `home` on the node's disk.
        home: where images, checkpoints and unfinished work are kept.
        queue: LocalQueue of Kueue; empty: none.
        pull_secret: Secret for pulling the image; empty: none.
        user: numeric user and group of the pods.
        account: service account of the pods.
    """

    name: str
    image: str
    command: tuple[str, ...]
    nodes: int
    gpus: int = 1
    cpu: str = "4"
    memory: str = "16G"
    memory_limit: str = "64G"
    shm: str = "8Gi"
    store_secret: str = "detkds-s3"
    secret_keys: Mapping[str, str] = field(default_factory=dict)
    optional_keys: Mapping[str, str] = field(default_factory=dict)
    optional_secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    gpu_type: str = "nvidia.com/gpu"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    volumes: str = "/data"
    disk: str = disk_size(int(DEFAULT_GB))
    home: str = HOME
    queue: str = ""
    pull_secret: str = ""
    user: int = 1000
    account: str = ACCOUNT

    def manifest(self) -> dict[str, Any]:
        """The object as the API takes it. Variables go to `trainer`: Trainer refuses them in a patch of this container."""
        labels = LABELS | ({"kueue.x-k8s.io/queue-name": self.queue} if self.queue else {})
        trainer = {
            "image": self.image,
            "command": list(self.command),
            "numNodes": self.nodes,
            "numProcPerNode": max(self.gpus, 1),
            "resourcesPerNode": self._resources(),
            "env": self._environment(),
        }
        pod = {"metadata": {"labels": {"sidecar.istio.io/inject": "false"}}, "spec": self._pod()}
        job = {"name": NODE, "template": {"spec": {"template": pod}}}
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "TrainJob",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {
                "runtimeRef": {"apiGroup": GROUP, "kind": "ClusterTrainingRuntime", "name": RUNTIME},
                "trainer": trainer,
                "runtimePatches": [{"manager": MANAGER, "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}}}],
            },
        }

    def _resources(self) -> dict[str, Any]:
        device = {self.gpu_type: str(self.gpus)} if self.gpus else {}
        return {"requests": {"cpu": self.cpu, "memory": self.memory, **device}, "limits": {"memory": self.memory_limit, **device}}

    def _environment(self) -> list[dict[str, Any]]:
        plain = [{"name": name, "value": value} for name, value in self.environment.items()]
        keys: list[tuple[str, dict[str, Any]]] = [(name, {"name": self.store_secret, "key": key}) for key, name in self.secret_keys.items()]
        for secret, optional in {self.store_secret: self.optional_keys, **self.optional_secrets}.items():
            keys += [(name, {"name": secret, "key": key, "optional": True}) for key, name in optional.items()]
        return plain + [{"name": name, "valueFrom": {"secretKeyRef": reference}} for name, reference in keys]

    def _pod(self) -> dict[str, Any]:
        """What the restricted Pod Security Standard requires, memory-backed /dev/shm, room on the disk, and where the pods may run."""
        volumes: list[dict[str, Any]] = [
            {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": self.shm}},
            {"name": "detkds-home", "emptyDir": {"sizeLimit": self.disk}},
        ]
        volumes += [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in self.claims]
        mounts = [{"name": "dshm", "mountPath": "/dev/shm"}, {"name": "detkds-home", "mountPath": self.home}]
        mounts += [{"name": claim, "mountPath": f"{self.volumes}/{claim}"} for claim in self.claims]
        own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        pod: dict[str, Any] = {
            "serviceAccountName": self.account,
            "volumes": volumes,
            "containers": [{"name": NODE, "volumeMounts": mounts, "securityContext": own}],
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": self.user, "runAsGroup": self.user, "seccompProfile": {"type": "RuntimeDefault"},
            },
        }  # fmt: skip
        if self.gpus:
            pod["tolerations"] = [{"key": self.gpu_type, "operator": "Exists", "effect": "NoSchedule"}]
        if self.node_selector:
            pod["nodeSelector"] = dict(self.node_selector)
        if self.pull_secret:
            pod["imagePullSecrets"] = [{"name": self.pull_secret}]
        return pod


class State(StrEnum):
    """Where a TrainJob is."""

    RUNNING = "running"
    SUSPENDED = "waits in a queue"
    COMPLETE = "complete"
    FAILED = "failed"


def state(job: Mapping[str, Any]) -> tuple[State, str]:
    """The state of a TrainJob as the API gives it, and what its condition says."""
    conditions = {entry["type"]: entry for entry in job.get("status", {}).get("conditions", []) if entry["status"] == "True"}
    for name, found in (("Failed", State.FAILED), ("Complete", State.COMPLETE), ("Suspended", State.SUSPENDED)):
        if name in conditions:
            return found, " ".join(str(conditions[name].get("message", "")).split())
    return State.RUNNING, ""
