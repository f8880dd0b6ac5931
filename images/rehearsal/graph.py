"""The graph of a compiled pipeline with the pipelines inside it: which task is which, and where what it is given comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Spec = Mapping[str, Any]


class Graph:
    """The tasks of a package by name; a task of a pipeline inside the pipeline is named `search/evolve`.

    Args:
        package: the pipeline's specification, the first document of its YAML.
    """

    def __init__(self, package: Spec) -> None:
        self._package = package

    def tasks(self, inside: str = "") -> Iterator[str]:
        """Names of the tasks with a container, each after those it depends on."""
        waiting, before = dict(self._tasks(inside)), set[str]()
        while waiting:
            ready = [name for name, task in waiting.items() if set(task.get("dependentTasks", ())) <= before]
            for name in ready:
                path = _below(inside, name)
                yield from self.tasks(path) if "dag" in self.component(path) else (path,)
                del waiting[name]
            before |= set(ready)

    def task(self, name: str) -> Spec:
        """A task as the pipeline around it has it."""
        inside, _, own = name.rpartition("/")
        return self._tasks(inside)[own]

    def component(self, name: str) -> Spec:
        """What a task runs."""
        found: Spec = self._package["components"][self.task(name)["componentRef"]["name"]]
        return found

    def container(self, name: str) -> Spec:
        """The container of a task."""
        found: Spec = self._package["deploymentSpec"]["executors"][self.component(name)["executorLabel"]]["container"]
        return found

    def parameter(self, name: str, source: Spec) -> tuple[str, Spec]:
        """Where a parameter of a task comes from in the end: the name of the task that made it, if one did, and the source there."""
        inside = name.rpartition("/")[0]
        if "taskOutputParameter" in source:
            return _below(inside, source["taskOutputParameter"]["producerTask"]), source
        if inside and "componentInputParameter" in source:
            return self.parameter(inside, self.task(inside)["inputs"]["parameters"][source["componentInputParameter"]])
        return "", source

    def artifact(self, name: str, source: Spec) -> tuple[str, str]:
        """The task with a container that made an input of a task, and its name for it."""
        inside = name.rpartition("/")[0]
        if "componentInputArtifact" in source:
            return self.artifact(inside, self.task(inside)["inputs"]["artifacts"][source["componentInputArtifact"]])
        made = source["taskOutputArtifact"]
        producer, output = _below(inside, made["producerTask"]), str(made["outputArtifactKey"])
        while "dag" in self.component(producer):
            (chosen,) = self.component(producer)["dag"]["outputs"]["artifacts"][output]["artifactSelectors"]
            producer, output = _below(producer, chosen["producerSubtask"]), str(chosen["outputArtifactKey"])
        return producer, output

    def _tasks(self, inside: str) -> Mapping[str, Spec]:
        component = self.component(inside) if inside else self._package["root"]
        found: Mapping[str, Spec] = component["dag"]["tasks"]
        return found


def _below(inside: str, name: str) -> str:
    return f"{inside}/{name}" if inside else name
