"""A task of a compiled pipeline through KFP's own executor, as in its pod; only what the library does there is a stand-in.

The stand-in answers what a stage answers (a `Result`) and remembers what it was called with.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp.dsl import executor_main
from kfp.dsl.types import artifact_types

from detkds.genome import Recipe
from detkds.pipeline import recipes
from detkds.pipeline.kubeflow.plans import Plans
from detkds.pipeline.settings import Result
from detkds.pipeline.study_set import gathering
from detkds.pipeline.values import Values
from detkds.storage.artifacts import publishing
from images.rehearsal.driver import mounted
from images.rehearsal.graph import Graph

_STAGE = re.compile(r"from (\S+) import (\w+) as stage")
RESULT = Result({"digest": "of the stage"}, {"student_steps": 12.0, "AP": float("nan")}, markdown="# What it did", page="<html></html>")


def package(pipeline: str) -> dict[str, Any]:
    """The pipeline's document of a compiled package."""
    return dict(next(yaml.safe_load_all((files("detkds") / "compiled" / f"{pipeline}.yaml").read_text())))


@dataclass
class Pod:
    """Where tasks of a package run.

    Args:
        package: the pipeline's document.
        disk: the folder that stands for the root of the pods' file system.
        patch: undoes what is changed for it.

    Attributes:
        paths: the paths that the stage of the last task was called with.
    """

    package: Mapping[str, Any]
    disk: Path
    patch: pytest.MonkeyPatch
    paths: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        for scheme in ("minio", "s3"):
            self.patch.setattr(artifact_types, f"_{scheme.upper()}_LOCAL_MOUNT_PREFIX", f"{self.disk}/{scheme}/")

    @property
    def graph(self) -> Graph:
        """The package's."""
        return Graph(self.package)

    @property
    def names(self) -> dict[str, str]:
        """The tasks' names in the graph by the names that the UI shows."""
        return {self.graph.task(name)["taskInfo"]["name"]: name for name in self.graph.tasks()}

    def run(self, task: str, executor_input: Mapping[str, Any]) -> dict[str, Any]:
        """What the executor says when a task of that name in the graph has ended."""
        container = self.graph.container(task)
        self._furnish(executor_input)
        source = self.disk / "ephemeral_component.py"
        source.write_text(container["command"][-1])
        function = container["args"][container["args"].index("--function_to_execute") + 1]
        words = ["--component_module_path", str(source), "--executor_input", json.dumps(executor_input), "--function_to_execute", function]
        self._stand_in(source.read_text())
        with self.patch.context() as patch:
            patch.setattr(sys, "argv", ["executor_main", *words])
            patch.setattr(sys, "path", list(sys.path))
            executor_main.executor_main()
        said: dict[str, Any] = json.loads(Path(executor_input["outputs"]["outputFile"]).read_text())
        return said

    def _furnish(self, executor_input: Mapping[str, Any]) -> None:
        """Studies for the tasks that gather them, where no task of this test left them."""
        for name, given in executor_input["inputs"].get("artifacts", {}).items():
            place = Path(f"{self.disk}{mounted(given['artifacts'][0]['uri'])}")
            if name == "studies" and not place.exists():
                with gathering([], place) as study, publishing(study, kind="study"):
                    pass
            elif name.endswith("_study") and not place.exists():
                with publishing(place, kind="study"):
                    pass

    def _stand_in(self, source: str) -> None:
        module, name = _STAGE.search(source).groups()  # type: ignore[union-attr]
        self.paths = []

        def run(*given: Any, **named: Any) -> Result | Plans:
            if name == "plans":
                return Plans("1", "1", *(Values().of_stage(stage) for stage in Plans._fields[2:]))
            for value in (*given, *named.values()):
                self.paths += [path for path in (value if isinstance(value, list | tuple) else [value]) if isinstance(path, Path)]
                self.paths += list(value.values()) if isinstance(value, dict) else []
            return RESULT

        def recipe_of(artifact: Path) -> Recipe:
            self.paths.append(artifact)
            return Recipe.parse("", "paper")

        self.patch.setattr(importlib.import_module(f"{module}.{name}"), "run", run)
        self.patch.setattr(recipes, "recipe_of", recipe_of)
