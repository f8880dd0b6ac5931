"""What KFP's driver makes of a compiled pipeline: the order of its tasks, and what each container is told."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHANNEL = re.compile(r"\{\{\$\.inputs\.parameters\['(.+?)'\]\}\}")


@dataclass(frozen=True)
class Execution:
    """One task, ready to be started.

    Args:
        image: as the run's parameters name it.
        command: with the executor input in it.
        inputs: the artifacts that must be there, by the task's name for them.
        outputs: the artifacts that it writes.
    """

    image: str
    command: list[str]
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]


class Driver:
    """One run of a compiled pipeline without conditions and loops.

    Args:
        package: the pipeline's specification, the first document of its YAML.
        parameters: of the run; those that are not given have the pipeline's defaults.
        root: s3:// address below which artifacts are put.
    """

    def __init__(self, package: Mapping[str, Any], parameters: Mapping[str, Any], root: str) -> None:
        self._package = package
        described = package["root"]["inputDefinitions"]["parameters"]
        self._parameters = {name: each.get("defaultValue") for name, each in described.items()} | dict(parameters)
        self._root = f"{root}/{package['pipelineInfo']['name']}/{uuid.uuid4().hex}"
        self.outputs: dict[str, dict[str, dict[str, Any]]] = {}

    def tasks(self) -> list[str]:
        """The tasks' names, each after those it depends on."""
        waiting, order = dict(self._package["root"]["dag"]["tasks"]), list[str]()
        while waiting:
            ready = [name for name, task in waiting.items() if set(task.get("dependentTasks", ())) <= set(order)]
            order += ready
            for name in ready:
                del waiting[name]
        return order

    def execution(self, name: str, output_file: str) -> Execution:
        """What a task is started with; `output_file` is where it says what it knows of its outputs."""
        task = self._package["root"]["dag"]["tasks"][name]
        component = self._package["components"][task["componentRef"]["name"]]
        container = self._package["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        values = self._values(task, component)
        wanted = {what: source["taskOutputArtifact"] for what, source in task.get("inputs", {}).get("artifacts", {}).items()}
        inputs = {what: self.outputs[source["producerTask"]][source["outputArtifactKey"]] for what, source in wanted.items()}
        outputs = {
            output: self._artifact(output, kind["artifactType"]["schemaTitle"], name)
            for output, kind in component.get("outputDefinitions", {}).get("artifacts", {}).items()
        }
        given = {
            "inputs": {"parameterValues": values, "artifacts": _lists(inputs)},
            "outputs": {"artifacts": _lists(outputs), "outputFile": output_file},
        }
        words = [word.replace("{{$}}", json.dumps(given)) for word in (*container["command"], *container["args"])]
        return Execution(CHANNEL.sub(lambda channel: values[channel[1]], container["image"]), words, inputs, outputs)

    def ended(self, name: str, execution: Execution, said: Mapping[str, Any]) -> None:
        """Hand a finished task's outputs on, with what its output file says about them."""
        for output, artifact in execution.outputs.items():
            (told,) = said["artifacts"][output]["artifacts"]
            if told["uri"] != artifact["uri"]:
                raise ValueError(f"task {name} must leave {output} at {artifact['uri']}, but says {told['uri']}")
            artifact["metadata"] = told["metadata"]
        self.outputs[name] = execution.outputs

    def _values(self, task: Mapping[str, Any], component: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of a task: of the run, constants of the pipeline, defaults of the component."""
        own = component.get("inputDefinitions", {}).get("parameters", {})
        values = {name: described["defaultValue"] for name, described in own.items() if "defaultValue" in described}
        for name, source in task.get("inputs", {}).get("parameters", {}).items():
            parameter = source.get("componentInputParameter")
            values[name] = self._parameters[parameter] if parameter else source["runtimeValue"]["constant"]
        return {name: _as_go_writes(value) for name, value in values.items()}

    def _artifact(self, output: str, kind: str, task: str) -> dict[str, Any]:
        return {"name": output, "type": {"schemaTitle": kind}, "uri": f"{self._root}/{task}/{uuid.uuid4()}/{output}", "metadata": {}}


def _lists(artifacts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: {"artifacts": [dict(artifact)]} for name, artifact in artifacts.items()}


def _as_go_writes(value: Any) -> Any:
    """Protobuf knows one kind of number, and Go's JSON writes 1.0 as 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
