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
from images.rehearsal.driver import Driver, Execution, mounted
from images.rehearsal.graph import Graph

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
        parameters: of the run.
        folder: for the pods' file systems; each pod has its own and finds nothing of another's.
        environment: what the pipeline's secret puts into the environment of a task.
    """

    pipeline: str
    bucket: str
    parameters: Mapping[str, Any]
    folder: Path
    environment: Mapping[str, str]
    run: str = field(default_factory=lambda: str(uuid.uuid4()))
    who: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        text = (files("detkds") / "compiled" / f"{self.pipeline}.yaml").read_text()
        self.pipeline_spec, platform = yaml.safe_load_all(text)
        self.settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        self.driver = Driver(self.pipeline_spec, self.parameters, f"s3://{self.bucket}/v2/artifacts")
        self.store: Store = open_store(f"s3://{self.bucket}")

    def launch(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run one task as a new pod of its own: an empty file system, and only what the bucket holds."""
        pod = self.folder / f"{name.replace('/', '-')}-{uuid.uuid4().hex[:6]}"
        (pod / "tmp").mkdir(parents=True)
        execution = self.driver.execution(name, str(pod))
        said = Path(execution.output_file)
        assert {artifact["type"]["schemaTitle"] for artifact in execution.outputs.values()} <= TYPES
        for artifact in execution.inputs.values():
            self._mount(artifact, pod)
        ended = self._execute(execution, pod, self._fields(name))
        if ended.returncode == 0:
            self._upload(name, execution, pod)
            self.driver.ended(name, execution, json.loads(said.read_text()))
            self.who[name] = said.stat().st_uid
        return ended

    def _mount(self, artifact: Mapping[str, Any], pod: Path) -> None:
        """Download an input to its mount point."""
        key = artifact["uri"].removeprefix(f"s3://{self.bucket}/")
        found = [entry.key for entry in self.store.list(key)] or [key]
        for each in found:
            target = pod / "s3" / self.bucket / each
            target.parent.mkdir(parents=True, exist_ok=True)
            self.store.get_file(each, target)

    def _fields(self, name: str) -> dict[str, str]:
        """The variables that a task's pod reads from its own labels and annotations; KFP labels each with the run's id."""
        settings = self.settings[Graph(self.pipeline_spec).component(name)["executorLabel"]]
        known = {f"metadata.annotations['{key}']": value for key, value in settings["podMetadata"]["annotations"].items()}
        known["metadata.labels['pipeline/runid']"] = self.run
        return {entry["name"]: known[entry["fieldPath"]] for entry in settings["fieldPathAsEnv"]}

    def _execute(self, execution: Execution, pod: Path, fields: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        for artifact in execution.outputs.values():
            Path(f"{pod}{mounted(artifact['uri'])}").parent.mkdir(parents=True, exist_ok=True)
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
            **fields,
            **self.environment,
        }
        who = somebody()
        for path in (pod, *pod.rglob("*")) if who else ():
            os.chown(path, UID, UID)
        return subprocess.run(execution.command, cwd=pod / "tmp", env=environment, capture_output=True, text=True, timeout=600, **who)

    def _upload(self, name: str, execution: Execution, pod: Path) -> None:
        """Upload what the task wrote."""
        for output, artifact in execution.outputs.items():
            place = Path(f"{pod}{mounted(artifact['uri'])}")
            key = artifact["uri"].removeprefix(f"s3://{self.bucket}/")
            assert place.exists(), f"task {name} wrote no {output}"
            for path in [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file()):
                self.store.put_file(path, key if path == place else f"{key}/{path.relative_to(place)}")


@cache
def somebody() -> dict[str, Any]:
    """A user without rights, as the pipeline's security context asks for; whoever runs the tests where they are not root, or where the
    Python or the checkout of these tests is closed to such a user."""
    if os.geteuid() != 0:
        return {}
    other = {"user": UID, "group": UID, "extra_groups": []}
    tried = ["sh", "-c", "python3 -B -c 'import kfp_server_api, detkds'"]
    return other if subprocess.run(tried, env=PYTHON, cwd="/", capture_output=True, **other).returncode == 0 else {}
