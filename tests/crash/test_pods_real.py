"""The compiled components of evolve, weights and train: a pod dies, another one with an empty folder ends with the same result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster, content
from small_world import make

from detkds.pipeline.values import Values
from detkds.storage import verify


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the tasks are told of a tiny pair on tiny pictures, and the subset."""
    teacher, checkpoint, student, subset = make(tmp_path_factory.mktemp("world"))
    values = Values(
        teacher_config=teacher, teacher_checkpoint=checkpoint, student_config=student, searched="global", population=2, iterations=1,
        top_k=1, weights_population=2, weights_iterations=0, race_candidates=1, race_seeds=2, race_epochs=1,
        race_known="pkd", repeats=2, epochs=2, batch_size=2,
    )  # fmt: skip
    return {"values": values, "subset": subset}


def executor_input(out: Path, parameters: dict[str, Any], inputs: dict[str, str], outputs: tuple[str, ...]) -> dict[str, Any]:
    """What KFP's driver writes for a task: artifacts of other tasks come without the title of their type."""

    def artifact(name: str, uri: str, **type: str) -> dict[str, Any]:
        return {"artifacts": [{"name": name, "uri": uri, "type": type, "metadata": {}}]}

    kinds = {"metrics": "system.Metrics", "summary": "system.Markdown", "model": "system.Model"}
    return {
        "inputs": {
            "parameterValues": parameters,
            "artifacts": {name: artifact(name, uri, instanceSchema="") for name, uri in inputs.items()},
        },
        "outputs": {
            "artifacts": {name: artifact(name, str(out / name), schemaTitle=kinds.get(name, "system.Artifact")) for name in outputs},
            "outputFile": str(out / "executor_output.json"),
        },
    }


class Component:
    """A compiled component with its inputs."""

    def __init__(self, stage: str, parameters: dict[str, Any], inputs: dict[str, str], outputs: tuple[str, ...]) -> None:
        self.stage, self.parameters, self.inputs, self.outputs = stage, parameters, inputs, outputs

    def pod(self, out: Path, work: str, **death: Any) -> dict[str, Any]:
        out.mkdir(parents=True)
        parameters = {**self.parameters, "plan": {**self.parameters["plan"], "work": work}}
        given = executor_input(out, parameters, self.inputs, self.outputs)
        return {"component": (self.stage, given), "out": str(out), "work": work, **death}


def test_components_whose_pods_die_end_like_those_left_alone(cluster: Cluster, world: dict[str, Any]) -> None:
    def plan(stage: str) -> dict[str, Any]:
        return {"plan": world["values"].of_stage(stage), "image": ""}

    here = cluster.folder
    data = {"subset": world["subset"]}
    study_of = {f"{name}_study": str(here / f"alone-{name}" / "study") for name in ("global", "fgbg", "instance", "logits", "localization")}
    shown = ("metrics", "summary")
    evolve = {
        name: Component("evolve", {"knowledge": name, **plan("evolve")}, data, ("study", *shown))
        for name in ("global", "fgbg", "instance", "logits", "localization")
    }
    weights = Component("weights", plan("weights"), {**data, **study_of}, ("studies", "recipe", *shown))
    found = {**data, "recipe": str(here / "alone-weights" / "recipe")}
    train = Component("train_found", plan("train"), found, ("model", "metrics"))

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
    assert content(here / "weights" / "studies" / "study-6") == content(here / "alone-weights" / "studies" / "study-6")
    for one, other in (("weights/recipe", "alone-weights/recipe"), ("train/model", "alone-train/model")):
        assert verify(here / one).digest == verify(here / other).digest
