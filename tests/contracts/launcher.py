"""A compiled pipeline run as Kubeflow's launcher runs it in a pod, without a cluster: the input artifacts are downloaded from a real S3
server to where they are mounted, the container's command is executed, and what it wrote is uploaded. Nothing is passed but parameters,
executor_output.json and objects in the bucket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from detkds.storage.store import Store
from detkds.storage.uri import open_store

MOUNT = """
import kfp.dsl.types.artifact_types as types

types._S3_LOCAL_MOUNT_PREFIX = {mount!r}
"""
"""kfp finds s3://bucket/key at /s3/bucket/key. The pods of this test have no file system of their own, so theirs is a folder."""
UID = 1000
ROOT = Path(__file__).resolve().parents[2]
PYTHON = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": f"{sysconfig.get_path('purelib')}:{ROOT}"}
TYPES = {"system.Artifact", "system.Dataset", "system.HTML", "system.Markdown", "system.Metrics", "system.Model"}


@dataclass
class Launcher:
    """Runs the tasks of one pipeline.

    Args:
        pipeline: "search" or "transfer".
        bucket: of the artifacts.
        folder: for the pods' file systems; each pod has its own and finds nothing of another's.
        environment: what the pipeline's secret puts into the environment of a task.
    """

    pipeline: str
    bucket: str
    folder: Path
    environment: Mapping[str, str]
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    who: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        text = (files("detkds") / "compiled" / f"{self.pipeline}.yaml").read_text()
        self.package = next(yaml.safe_load_all(text))
        self.store: Store = open_store(f"s3://{self.bucket}")
        self.store.ensure_bucket()

    def tasks(self) -> list[str]:
        """The tasks' names, each after those it depends on."""
        waiting, order = dict(self.package["root"]["dag"]["tasks"]), list[str]()
        while waiting:
            ready = [name for name, task in waiting.items() if set(task.get("dependentTasks", ())) <= set(order)]
            order += ready
            for name in ready:
                del waiting[name]
        return order

    def launch(self, name: str, parameters: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        """Run one task as a new pod of its own: an empty file system, and only what the bucket holds."""
        pod = self.folder / f"{name}-{uuid.uuid4().hex[:6]}"
        (pod / "tmp").mkdir(parents=True)
        task = self.package["root"]["dag"]["tasks"][name]
        component = self.package["components"][task["componentRef"]["name"]]
        executor = self.package["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        outputs = {
            output: self._artifact(output, kind["artifactType"]["schemaTitle"], name)
            for output, kind in component.get("outputDefinitions", {}).get("artifacts", {}).items()
        }
        inputs = task.get("inputs", {})
        given = {
            "inputs": {
                "parameterValues": self._parameters(inputs.get("parameters", {}), component, parameters),
                "artifacts": {what: {"artifacts": [self._mounted(source, pod)]} for what, source in inputs.get("artifacts", {}).items()},
            },
            "outputs": {
                "artifacts": {output: {"artifacts": [artifact]} for output, artifact in outputs.items()},
                "outputFile": str(pod / "tmp" / "kfp_outputs" / "output_metadata.json"),
            },
        }
        ended = self._execute(executor, given, outputs, pod)
        if ended.returncode == 0:
            self._upload(name, outputs, pod)
        return ended

    def _artifact(self, output: str, kind: str, task: str) -> dict[str, Any]:
        assert kind in TYPES
        key = f"v2/artifacts/{self.package['pipelineInfo']['name']}/{self.run}/{task}/{uuid.uuid4()}/{output}"
        return {"name": output, "type": {"schemaTitle": kind}, "uri": f"s3://{self.bucket}/{key}", "metadata": {}}

    def _parameters(self, wanted: Mapping[str, Any], component: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """The values as the driver resolves them: of the run, the pipeline's defaults, constants of the task, defaults of the component."""
        root = self.package["root"]["inputDefinitions"]["parameters"]
        run = {name: described.get("defaultValue") for name, described in root.items()} | dict(given)
        own = component.get("inputDefinitions", {}).get("parameters", {})
        values = {name: described["defaultValue"] for name, described in own.items() if "defaultValue" in described}
        for name, source in wanted.items():
            pipeline_parameter = source.get("componentInputParameter")
            values[name] = run[pipeline_parameter] if pipeline_parameter else source["runtimeValue"]["constant"]
        return {name: _as_go_writes(value) for name, value in values.items()}

    def _mounted(self, source: Mapping[str, Any], pod: Path) -> dict[str, Any]:
        """Download an input to its mount point."""
        producer = source["taskOutputArtifact"]
        artifact = self.outputs[producer["producerTask"]][producer["outputArtifactKey"]]
        key = artifact["uri"].removeprefix(f"s3://{self.bucket}/")
        found = [entry.key for entry in self.store.list(key)] or [key]
        for each in found:
            target = pod / "s3" / self.bucket / each
            target.parent.mkdir(parents=True, exist_ok=True)
            self.store.get_file(each, target)
        return dict(artifact)

    def _execute(
        self, container: Mapping[str, Any], given: Mapping[str, Any], outputs: Mapping[str, Any], pod: Path
    ) -> subprocess.CompletedProcess[str]:
        for artifact in outputs.values():
            (pod / "s3" / artifact["uri"].removeprefix("s3://")).parent.mkdir(parents=True, exist_ok=True)
        (pod / "site").mkdir()
        (pod / "site" / "sitecustomize.py").write_text(MOUNT.format(mount=f"{pod}/s3/"))
        environment = {
            **PYTHON,
            "PYTHONPATH": f"{pod / 'site'}:{PYTHON['PYTHONPATH']}",
            "PYTHONWARNINGS": "ignore",
            "HOME": str(pod / "tmp"),
            "TMPDIR": str(pod / "tmp"),
            "DETKDS_HOME": str(pod / "tmp" / "detkds"),
            "MPLCONFIGDIR": str(pod / "tmp"),
            "OMP_NUM_THREADS": "1",
            **self.environment,
        }
        words = [*container["command"], *container["args"]]
        command = [word.replace("{{$}}", json.dumps(given)) for word in words]
        who = somebody()
        for path in (pod, *pod.rglob("*")) if who else ():
            os.chown(path, UID, UID)
        return subprocess.run(command, cwd=pod / "tmp", env=environment, capture_output=True, text=True, timeout=600, **who)

    def _upload(self, name: str, outputs: dict[str, Any], pod: Path) -> None:
        """Upload what the task wrote, and take up what it said about it."""
        said = json.loads((pod / "tmp" / "kfp_outputs" / "output_metadata.json").read_text())
        for output, artifact in outputs.items():
            place = pod / "s3" / artifact["uri"].removeprefix("s3://")
            key = artifact["uri"].removeprefix(f"s3://{self.bucket}/")
            assert place.exists(), f"task {name} wrote no {output}"
            for path in [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file()):
                self.store.put_file(path, key if path == place else f"{key}/{path.relative_to(place)}")
            (told,) = said["artifacts"][output]["artifacts"]
            assert told["uri"] == artifact["uri"], f"task {name} moved its output {output}"
            artifact["metadata"] = told["metadata"]
        self.outputs[name] = outputs
        self.who[name] = (pod / "tmp" / "kfp_outputs" / "output_metadata.json").stat().st_uid


def _as_go_writes(value: Any) -> Any:
    """Protobuf knows one kind of number, and Go's JSON writes 1.0 as 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def somebody() -> dict[str, Any]:
    """A user without rights, as the pipeline's security context asks for; whoever runs the tests where they are not root, or where the
    Python or the checkout of these tests is closed to such a user."""
    if os.geteuid() != 0:
        return {}
    other = {"user": UID, "group": UID, "extra_groups": []}
    tried = ["sh", "-c", "python3 -B -c 'import kfp_server_api, detkds'"]
    return other if subprocess.run(tried, env=PYTHON, cwd="/", capture_output=True, **other).returncode == 0 else {}
