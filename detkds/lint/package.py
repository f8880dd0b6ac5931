"""A compiled pipeline as the rules see it: its tasks, each with its container and its settings for Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from detkds.errors import ConfigError
from detkds.lint.documents import read

_PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")


@dataclass(frozen=True, slots=True)
class Input:
    """A parameter as a task is given it.

    Args:
        kind: the type that KFP has for it, such as STRING; empty for a constant.
        origin: the pipeline's parameter that it comes from, through any pipelines in between; None where a task made it.
    """

    kind: str = ""
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule: its name, the place, and the fault."""

    rule: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.rule}]"


@dataclass(frozen=True)
class Task:
    """A task that runs a container.

    Args:
        name: its name in the graph.
        spec: inputs, retry policy, caching.
        container: image, command, resources.
        settings: volumes, secrets, security context, deadline, from the platform document.
        in_loop: whether a ParallelFor is around it.
        inputs: its parameters by name, those that set its pod too.
    """

    name: str
    spec: Mapping[str, Any]
    container: Mapping[str, Any]
    settings: Mapping[str, Any]
    in_loop: bool = False
    inputs: Mapping[str, Input] = field(default_factory=dict)

    def given(self, value: Any) -> Input | None:
        """The parameter that a text such as an image is taken from at run time; None for a constant."""
        found = _PARAMETER.search(value) if isinstance(value, str) else None
        return self.inputs.get(found[1], Input()) if found else None

    @property
    def resources(self) -> Mapping[str, Any]:
        """The container's resource requests."""
        found: Mapping[str, Any] = self.container.get("resources", {})
        return found

    @property
    def on_gpu(self) -> bool:
        """Whether it requests an accelerator."""
        return "accelerator" in self.resources


@dataclass(frozen=True)
class Package:
    """Both documents of a compiled pipeline.

    Args:
        text: the YAML as it is.
        pipeline: the pipeline's document.
        platform: the executors' settings for Kubernetes by executor; empty where there is no second document.
    """

    text: str
    pipeline: Mapping[str, Any]
    platform: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Package:
        """Read a package.

        Raises:
            ConfigError: the text is not YAML, or no pipeline.
        """
        try:
            documents = [document for document in read(text) if document]
        except yaml.YAMLError as error:
            raise ConfigError(f"the package is not YAML: {str(error).splitlines()[0]}; compile the pipeline again.") from None
        if not documents or len(documents) > 2 or not all(isinstance(document, dict) for document in documents):
            raise ConfigError(f"a package holds a pipeline and at most one platform, got {len(documents)} documents; compile it again.")
        if not {"root", "components", "deploymentSpec"} <= documents[0].keys():
            raise ConfigError("the package must have root, components and deploymentSpec; compile the pipeline again.")
        settings = documents[1] if len(documents) > 1 else {}
        return cls(text, documents[0], _at(settings, "platforms", "kubernetes", "deploymentSpec", "executors"))

    @property
    def name(self) -> str:
        """Name of the pipeline."""
        return str(_at(self.pipeline, "pipelineInfo").get("name", ""))

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The pipeline's parameters by name."""
        return _at(self.pipeline, "root", "inputDefinitions", "parameters")

    @property
    def components(self) -> Mapping[str, Any]:
        """The pipeline itself, as "root", and the components of its tasks by name."""
        return {"root": _at(self.pipeline, "root"), **_at(self.pipeline, "components")}

    def tasks(self) -> Iterator[Task]:
        """Every task with a container, also those inside nested pipelines and loops."""
        given = {name: Input(str(parameter.get("parameterType", "")), name) for name, parameter in self.parameters.items()}
        yield from self._tasks(_at(self.pipeline, "root", "dag", "tasks"), given, in_loop=False)

    def _tasks(self, tasks: Mapping[str, Any], given: Mapping[str, Input], in_loop: bool) -> Iterator[Task]:
        for key, spec in tasks.items():
            component = self._component(spec)
            looped = in_loop or "parameterIterator" in spec or "artifactIterator" in spec
            inputs = {name: self._input(source, tasks, given) for name, source in _at(spec, "inputs", "parameters").items()}
            if "dag" in component:
                yield from self._tasks(_at(component, "dag", "tasks"), inputs, looped)
            else:
                label = str(component.get("executorLabel", ""))
                container = _at(self.pipeline, "deploymentSpec", "executors", label, "container")
                name = str(_at(spec, "taskInfo").get("name", key))
                yield Task(name, spec, container, self.platform.get(label, {}), looped, inputs)

    def _component(self, task: Mapping[str, Any]) -> Mapping[str, Any]:
        return _at(self.pipeline, "components", str(_at(task, "componentRef").get("name", "")))

    def _input(self, source: Mapping[str, Any], tasks: Mapping[str, Any], given: Mapping[str, Input]) -> Input:
        """What a task is given: a parameter of the pipeline around it, what another task made, or a constant."""
        if made := _at(source, "taskOutputParameter"):
            outputs = _at(self._component(_at(tasks, str(made["producerTask"]))), "outputDefinitions", "parameters")
            return Input(str(_at(outputs, made["outputParameterKey"]).get("parameterType", "")))
        return given.get(str(source.get("componentInputParameter", "")), Input())

    def resolved(self, task: Task, value: str, arguments: Mapping[str, Any]) -> str:
        """A text with the parameter in it replaced: by the argument given, else by its default; empty where there is neither."""
        parameter = task.given(value)
        if parameter is None:
            return value
        name = parameter.origin or ""
        return str(arguments.get(name, self.parameters.get(name, {}).get("defaultValue", "")))


def _at(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The mapping below these keys; empty where one is missing or no mapping."""
    for key in keys:
        below = document.get(key)
        document = below if isinstance(below, Mapping) else {}
    return document
