"""The restricted Pod Security Standard: each rule catches a pod that breaks it; every compiled task keeps them all."""

from __future__ import annotations

import copy
from importlib.resources import files
from typing import Any

import pytest

from detkds.lint import Package, Task
from manifests.restricted import broken, pod_of

GOOD: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "main",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "ports": [{"containerPort": 1}],
        }
    ],
    "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "keys", "secret": {"secretName": "x"}}],
}


def test_a_pod_that_keeps_the_standard() -> None:
    assert broken(GOOD) == []


BREAKS: dict[str, tuple[list[Any], Any]] = {
    "hostNetwork must be false": (["hostNetwork"], True),
    "hostPID must be false": (["hostPID"], True),
    "hostIPC must be false": (["hostIPC"], True),
    "volume tmp must not be a hostPath": (["volumes", 0], {"name": "tmp", "hostPath": {"path": "/"}}),
    "volume tmp must not be a nfs": (["volumes", 0], {"name": "tmp", "nfs": {}}),
    "sysctl kernel.msgmax is not allowed": (["securityContext", "sysctls"], [{"name": "kernel.msgmax", "value": "1"}]),
    "container main: privileged must be false": (["containers", 0, "securityContext", "privileged"], True),
    "container main: allowPrivilegeEscalation must be false": (["containers", 0, "securityContext", "allowPrivilegeEscalation"], None),
    "container main: capabilities must drop ALL and add at most NET_BIND_SERVICE": (
        ["containers", 0, "securityContext", "capabilities"],
        {"drop": ["ALL"], "add": ["SYS_ADMIN"]},
    ),
    "container main: runAsNonRoot must be true": (["securityContext", "runAsNonRoot"], None),
    "container main: runAsUser must not be 0": (["containers", 0, "securityContext", "runAsUser"], 0),
    "container main: seccompProfile must be RuntimeDefault or Localhost": (["securityContext", "seccompProfile"], {"type": "Unconfined"}),
    "container main: procMount must be Default": (["containers", 0, "securityContext", "procMount"], "Unmasked"),
    "container main: hostPort must not be set": (["containers", 0, "ports"], [{"containerPort": 1, "hostPort": 1}]),
}


@pytest.mark.parametrize("rule", BREAKS)
def test_each_rule_is_named_where_it_is_broken(rule: str) -> None:
    path, value = BREAKS[rule]
    pod = copy.deepcopy(GOOD)
    place: Any = pod
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert broken(pod) == [rule]


def test_init_containers_are_looked_at() -> None:
    found = broken({**GOOD, "initContainers": [{"name": "first"}]})
    assert {line.partition(":")[0] for line in found} == {"container first"}
    assert len(found) == 2, "escalation and capabilities; the rest comes from the pod"


def tasks() -> list[Task]:
    texts = [(files("detkds") / "compiled" / f"{name}.yaml").read_text() for name in ("search", "transfer")]
    return [task for text in texts for task in Package.parse(text).tasks()]


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.name)
def test_every_compiled_task_keeps_the_standard(task: Task) -> None:
    assert broken(pod_of(task)) == []


def test_a_task_that_says_nothing_of_its_user_does_not() -> None:
    assert broken(pod_of(Task("any", {}, {}, {}))) == ["container main: runAsNonRoot must be true"]
