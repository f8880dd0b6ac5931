"""The restricted Pod Security Standard of Kubernetes, and what of it can be said of a task before a cluster has made its pod."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detkds.lint import Task

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
}
SECCOMP = {"RuntimeDefault", "Localhost"}
# What the backend of KFP 2.17 gives the container of every task by itself (backend/src/v2/compiler/argocompiler/security_context.go).
KFP_DEFAULTS = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def broken(pod: Mapping[str, Any]) -> list[str]:
    """The rules of the restricted standard that a pod's specification breaks, one line each."""
    found = [f"{name} must be false" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    for volume in pod.get("volumes", []):
        kinds = volume.keys() - {"name"}
        if not kinds <= VOLUMES:
            found.append(f"volume {volume['name']} must not be a {', '.join(sorted(kinds))}")
    context = pod.get("securityContext", {})
    found += [f"sysctl {entry['name']} is not allowed" for entry in context.get("sysctls", []) if entry["name"] not in SYSCTLS]
    for container in [*pod.get("initContainers", []), *pod.get("containers", []), *pod.get("ephemeralContainers", [])]:
        found += [f"container {container['name']}: {rule}" for rule in _container(container, context)]
    return found


def _container(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    if own.get("privileged"):
        yield "privileged must be false"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation must be false"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []) or not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}:
        yield "capabilities must drop ALL and add at most NET_BIND_SERVICE"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot must be true"
    if own.get("runAsUser", pod.get("runAsUser")) in (0, "0"):
        yield "runAsUser must not be 0"
    if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in SECCOMP:
        yield "seccompProfile must be RuntimeDefault or Localhost"
    if own.get("procMount", "Default") != "Default":
        yield "procMount must be Default"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort must not be set"


def pod_of(task: Task) -> dict[str, Any]:
    """The pod that the backend of KFP 2.17 makes of a compiled task, as far as the standard looks at it."""
    settings = task.settings
    volumes: list[dict[str, Any]] = [{"name": mount["volumeName"], "emptyDir": {}} for mount in settings.get("emptyDirMounts", [])]
    volumes += [{"name": "claim", "persistentVolumeClaim": {}} for _ in settings.get("pvcMount", [])]
    volumes += [{"name": "secret", "secret": {}} for _ in settings.get("secretAsVolume", [])]
    container = {"name": "main", "securityContext": {**KFP_DEFAULTS, **settings.get("securityContext", {})}}
    return {"containers": [container], "volumes": volumes}
