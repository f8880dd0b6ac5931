"""The compiled components of evolve, weights and train: a pod dies, another one with an empty folder ends with the same result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster, content
from small_world import make

from detkds.storage import verify


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Values of the pipeline's parameters for a tiny pair on tiny pictures."""
    teacher, checkpoint, student, subset = make(tmp_path_factory.mktemp("world"))
    return {
        "teacher_config": teacher, "teacher_checkpoint": checkpoint, "student_config": student, "student_checkpoint": "",
        "inherit": True, "searched": "global", "semantics": "paper", "space": "paper", "algorithm": "evolution", "population": 2,
        "iterations": 1, "sample_ratio": 0.9, "top_k": 1, "warm_start": "", "early_stop": True, "repeats": 2, "epochs": 1,
        "batch_size": 2, "learning_rate": 0.0, "amp": False, "seed": 0, "subset": subset,
    }  # fmt: skip


def executor_input(out: Path, parameters: dict[str, Any], inputs: dict[str, str], outputs: tuple[str, ...]) -> dict[str, Any]:
    """What KFP's driver writes for a task."""

    def artifact(name: str, uri: str) -> dict[str, Any]:
        kind = {"metrics": "Metrics", "summary": "Markdown", "model": "Model"}.get(name, "Artifact")
        return {"artifacts": [{"name": name, "uri": uri, "type": {"schemaTitle": f"system.{kind}"}, "metadata": {}}]}

    return {
        "inputs": {"parameterValues": parameters, "artifacts": {name: artifact(name, uri) for name, uri in inputs.items()}},
        "outputs": {
            "artifacts": {name: artifact(name, str(out / name)) for name in outputs},
            "outputFile": str(out / "executor_output.json"),
        },
    }


class Component:
    """A compiled component with its inputs."""

    def __init__(self, stage: str, parameters: dict[str, Any], inputs: dict[str, str], outputs: tuple[str, ...]) -> None:
        self.stage, self.parameters, self.inputs, self.outputs = stage, parameters, inputs, outputs

    def pod(self, out: Path, work: str, **death: Any) -> dict[str, Any]:
        out.mkdir(parents=True)
        given = executor_input(out, {**self.parameters, "work": work}, self.inputs, self.outputs)
        return {"component": (self.stage, given), "out": str(out), "work": work, **death}


PAIR = ("teacher_config", "teacher_checkpoint", "student_config", "student_checkpoint", "inherit")
SCHEDULE = ("epochs", "batch_size", "learning_rate", "amp", "seed")
SEARCH = ("space", "early_stop", "repeats")
RACE = {"race_candidates": 1, "race_seeds": 2, "race_epochs": 1, "race_known": "pkd"}
PLAN = (*SEARCH, "searched", "semantics", "algorithm", "population", "iterations", "sample_ratio", "top_k", "warm_start")


def test_components_whose_pods_die_end_like_those_left_alone(cluster: Cluster, world: dict[str, Any]) -> None:
    def values(*names: str) -> dict[str, Any]:
        return {name: world[name] for name in names}

    here = cluster.folder
    data = {"subset": world["subset"]}
    study_of = {f"{name}_study": str(here / f"alone-{name}" / "study") for name in ("global", "fgbg", "instance", "logits", "localization")}
    shown = ("study", "metrics", "summary")
    evolve = {
        name: Component("evolve", {"knowledge": name, **values(*PAIR, *SCHEDULE, *PLAN)}, data, shown)
        for name in ("global", "fgbg", "instance", "logits", "localization")
    }
    weigh = {**values(*PAIR, *SCHEDULE, *SEARCH), "population": 2, "iterations": 0, **RACE}
    weights = Component("weights", weigh, {**data, **study_of}, ("study", "recipe", "metrics", "summary"))
    train = Component(
        "train", {**values(*PAIR, *SCHEDULE), "epochs": 2}, {**data, "recipe": str(here / "alone-weights" / "recipe")}, ("model", "metrics")
    )

    alone = [component.pod(here / f"alone-{name}", "") for name, component in evolve.items()]
    alone += [weights.pod(here / "alone-weights", ""), train.pod(here / "alone-train", "")]
    work = cluster.work
    killed = [
        evolve["global"].pod(here / "1", work, die=("before put", 5)),  # its first trial is measured and not in the bucket
        evolve["global"].pod(here / "2", work, die=("after put", 6)),
        evolve["global"].pod(here / "evolve", work),
        weights.pod(here / "3", work, die=("after put", 7)),
        weights.pod(here / "weights", work),
        train.pod(here / "4", work, die=("before _point", 2)),  # a checkpoint lies in the bucket, its manifest does not
        train.pod(here / "5", work, terminate_at=3),
        train.pod(here / "train", work),
    ]
    ends = cluster.run(*alone, *killed)
    assert ends[: len(alone)] == ["done"] * len(alone)
    died = ends[len(alone) :]
    assert [end.partition(" ")[0] for end in died] == ["killed", "killed", "done", "killed", "done", "killed", "Interrupted", "done"]

    assert "step 12/12" in cluster.logs[-1]
    assert "step 5/12" not in cluster.logs[-1], "the last pod went on after the step at which SIGTERM came"

    assert content(here / "evolve" / "study") == content(here / "alone-global" / "study")
    assert content(here / "weights" / "study") == content(here / "alone-weights" / "study")
    for one, other in (("weights/recipe", "alone-weights/recipe"), ("train/model", "alone-train/model")):
        assert verify(here / one).digest == verify(here / other).digest
