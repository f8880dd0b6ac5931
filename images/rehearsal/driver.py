"""What KFP's driver makes of a compiled pipeline: the order of its tasks, and what each container is told.

The form is that of KFP 2.17.0, captured on a live cluster: an artifact of another task has a number for its name, no class, and two entries
in its metadata that the task which made it did not write. tests/contracts compares the two.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from images.rehearsal.graph import Graph

CHANNEL = re.compile(r"\{\{\$\.inputs\.parameters\['(.+?)'\]\}\}")
SESSION = {
    "accessKeyKey": "accesskey",
    "disableSSL": "true",
    "endpoint": "detkds-store:8333",
    "forcePathStyle": "true",
    "fromEnv": "false",
    "maxRetries": "5",
    "region": "us-east-1",
    "secretKeyKey": "secretkey",
    "secretName": "detkds-s3",
}
"""How the launcher reached the store that an artifact lies in; part of the artifact's metadata."""


@dataclass(frozen=True)
class Execution:
    """One task, ready to be started.

    Args:
        image: as the run's parameters name it.
        command: with the executor input in it.
        inputs: the artifacts that must be there, by the task's name for them.
        outputs: the artifacts that it writes.
        output_file: where it says what it knows its outputs.
    """

    image: str
    command: list[str]
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    output_file: str


class Driver:
    """One run of a compiled pipeline without conditions and loops. A task of a pipeline inside it is named `search/evolve`.

    Args:
        package: the pipeline's specification, the first document of its YAML.
        parameters: of the run; those that are not given have the pipeline's defaults.
        root: address below which artifacts are put, s3://… or minio://….
    """

    def __init__(self, package: Mapping[str, Any], parameters: Mapping[str, Any], root: str) -> None:
        self._graph = Graph(package)
        described = package["root"]["inputDefinitions"]["parameters"]
        self._parameters = {name: each.get("defaultValue") for name, each in described.items()} | dict(parameters)
        self._root = f"{root}/{package['pipelineInfo']['name']}/{uuid.uuid4()}"
        self._numbers = count(1)
        self._told: dict[str, dict[str, Any]] = {}
        self.outputs: dict[str, dict[str, dict[str, Any]]] = {}

    def tasks(self) -> list[str]:
        """The tasks' names, each after those it depends on."""
        return list(self._graph.tasks())

    def execution(self, name: str, disk: str = "") -> Execution:
        """What a task is started with, where `disk` is the folder that stands for the root of its file system."""
        task, component, container = self._graph.task(name), self._graph.component(name), self._graph.container(name)
        values = self._values(name, task, component)
        wanted = {what: self._graph.artifact(name, source) for what, source in task.get("inputs", {}).get("artifacts", {}).items()}
        inputs = {what: self.outputs[producer][output] for what, (producer, output) in wanted.items()}
        place = f"{self._root}/{name.rpartition('/')[2]}/{uuid.uuid4()}"
        defined = component.get("outputDefinitions", {})
        outputs = {
            output: {"name": output, "type": dict(kind["artifactType"]), "uri": f"{place}/{output}"}
            for output, kind in defined.get("artifacts", {}).items()
        }
        told = {output: {"outputFile": f"{disk}/tmp/kfp/outputs/{output}"} for output in defined.get("parameters", {})}
        output_file = f"{disk}{mounted(place)}/output_metadata.json"
        # The launcher writes the logs; the task is told of them all the same.
        logs = {"name": "executor-logs", "type": {"schemaTitle": "system.Artifact"}, "uri": f"{place}/executor-logs-0"}
        given = {
            "inputs": ({"artifacts": _lists(inputs)} if inputs else {}) | {"parameterValues": values},
            "outputs": ({"parameters": told} if told else {})
            | {"artifacts": _lists({**outputs, "executor-logs": logs}), "outputFile": output_file},
        }
        words = [word.replace("{{$}}", json.dumps(given)) for word in (*container["command"], *container["args"])]
        return Execution(_filled(container["image"], values), words, inputs, outputs, output_file)

    def ended(self, name: str, execution: Execution, said: Mapping[str, Any]) -> None:
        """Hand a finished task's outputs on, with what its output file says about them."""
        handed = {}
        for output, artifact in execution.outputs.items():
            (told,) = said["artifacts"][output]["artifacts"]
            if told["uri"] != artifact["uri"]:
                raise ValueError(f"task {name} must leave {output} at {artifact['uri']}, but says {told['uri']}")
            handed[output] = self._handed(output, artifact["uri"], told["metadata"])
        self.outputs[name], self._told[name] = handed, said.get("parameterValues", {})

    def _handed(self, output: str, uri: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """An output as the tasks after it see it."""
        session = json.dumps({"Provider": uri.partition("://")[0], "Params": SESSION}, separators=(",", ":"))
        told = {key: _as_go_writes(value) for key, value in metadata.items()}
        about = {**told, "display_name": output, "store_session_info": session}
        return {"name": str(next(self._numbers)), "type": {"instanceSchema": ""}, "uri": uri, "metadata": about}

    def _values(self, name: str, task: Mapping[str, Any], component: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of a task: of the run, of other tasks, constants of the pipeline, defaults of the component."""
        own = component.get("inputDefinitions", {}).get("parameters", {})
        values = {key: described["defaultValue"] for key, described in own.items() if "defaultValue" in described}
        for key, given in task.get("inputs", {}).get("parameters", {}).items():
            producer, source = self._graph.parameter(name, given)
            if "runtimeValue" in source:
                values[key] = source["runtimeValue"]["constant"]
            elif "taskOutputParameter" in source:
                values[key] = self._told[producer][source["taskOutputParameter"]["outputParameterKey"]]
            else:
                values[key] = self._parameters[source["componentInputParameter"]]
        return {key: _as_go_writes(_filled(value, values)) for key, value in values.items()}


def mounted(address: str) -> str:
    """Where the launcher puts an object: s3://bucket/key at /s3/bucket/key."""
    scheme, _, key = address.partition("://")
    return f"/{scheme}/{key}"


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    """A value with the parameters in it, where it is a text."""
    return CHANNEL.sub(lambda channel: str(values[channel[1]]), value) if isinstance(value, str) else value


def _lists(artifacts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: {"artifacts": [dict(artifact)]} for name, artifact in artifacts.items()}


def _as_go_writes(value: Any) -> Any:
    """Protobuf knows one kind of number, and Go's JSON writes 1.0 as 1."""
    if isinstance(value, dict):
        return {key: _as_go_writes(each) for key, each in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value
