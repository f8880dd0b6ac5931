"""Stage 6 from artifacts made by hand: what is published, and where its numbers come from. Needs no torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from detkds.errors import ArtifactError, Rejected
from detkds.evaluation.result import SCHEMA
from detkds.genome import Knowledge, Recipe
from detkds.objective import Goal, Outcome
from detkds.pipeline import publish as published
from detkds.pipeline import published_detections, report, studies
from detkds.report import Analysis, read_results
from detkds.search.baselines import RandomSearch
from detkds.search.evolution import Evolution
from detkds.search.journal import Journal
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.study import Study
from detkds.search.study import run as run_study
from detkds.storage.artifacts import publishing, verify

JPEG = b"\xff\xd8\xff\xe0picture"
RECIPE = Recipe.parse("global: none > none > norm_batch | l2 x 5")
SUBSET = {
    "root": "s3://data/cats",
    "images": {"train": 8, "test": 4},
    "folders": {"train": "train", "test": "test"},
    "states": {"train": "a", "test": "b"},
}
BOX = {"box": [1, 2, 3, 4], "class": "cat", "score": None, "crowd": False}


def model(folder: Path, seconds: float, steps: int) -> Path:
    with publishing(folder, kind="model", meta={"seconds": seconds, "student_steps": steps, "seed": 3, "epochs": 2}) as inside:
        for name in ("student.pth", "student.safetensors", "student.py", "student.json"):
            (inside / name).write_text(name)
        (inside / "recipe.json").write_text(RECIPE.dumps())
    return folder


def evaluation(folder: Path, examples: Sequence[str] = (), **changes: Any) -> Path:
    kinds = {"bbox": {"figures": {"AP": 0.25, "AP50": None}}}
    content = {
        "schema": SCHEMA,
        "images": 4,
        "classes": ["cat"],
        "detectors": {name: {"description": f"the {name}", "cost": None, "kinds": kinds} for name in ("distilled", "teacher")},
        "comparisons": [],
        "examples": [
            {"image_id": 1, "file": name, "width": 9, "height": 9, "score": 0.1, "truth": [BOX], "detections": {}} for name in examples
        ],
        **changes,
    }
    with publishing(folder, kind="evaluation", meta={"seconds": 7.5}) as inside:
        (inside / "evaluation.json").write_text(json.dumps(content))
        (inside / "examples").mkdir()
        (inside / "examples" / "1.jpg").write_bytes(JPEG)
        (inside / "tensorboard").mkdir()
        (inside / "tensorboard" / "events.out.tfevents.1.host").write_bytes(b"figures")
        (inside / "detections_teacher.json").write_text('[{"image_id": 1}]')
    return folder


def subset(folder: Path) -> Path:
    with publishing(folder, kind="subset", meta=SUBSET) as inside:
        (inside / "train.json").write_text("{}")
        (inside / "test.json").write_text("[]")
    return folder


def objective(recipe: Recipe, goal: Goal) -> Outcome:
    """Rejects kl, likes l1."""
    words = str(recipe)
    if "kl" in words:
        raise Rejected("nan", "loss of global")
    return Outcome(0.3 + 0.1 * ("| l1" in words), 10)


def study(folder: Path, work: Path, algorithm: str) -> Path:
    designer = {"evolution": Evolution, "random": RandomSearch}[algorithm](
        SearchSpace.preset("paper", "paper"), Knowledge.GLOBAL, SearchSettings(6, 2, 0.9, 2), 0, []
    )
    settings = {"knowledge": "global", "plan": {"algorithm": algorithm, "warm_start": ""}, "proxy": {"epochs": 1}, "teacher": "7e" * 32}
    work.mkdir()
    with Journal(work / studies.JOURNAL, settings) as journal:
        trials = run_study(designer, objective, journal, identify=lambda recipe: recipe.digest).trials
    (work / studies.TIMINGS).write_text('{"number": 1, "seconds": 2.5}\n')
    studies.publish(studies.Conducted(Study(trials, "global"), work, 33.0), folder)
    return folder


@pytest.fixture
def artifacts(tmp_path: Path) -> dict[str, Any]:
    left_out = tmp_path / "left-out"
    studies.publish(studies.Conducted(Study(name="logits", reason="not searched in this run")), left_out)
    return {
        "subset": subset(tmp_path / "subset"),
        "studies": [study(tmp_path / name, tmp_path / f"work-{name}", name) for name in ("evolution", "random")] + [left_out],
        "model": model(tmp_path / "model", 60.0, 200),
        "evaluation": evaluation(tmp_path / "evaluation", ("examples/1.jpg",)),
    }


def test_everything_is_published_and_can_be_read_back(artifacts: dict[str, Any], tmp_path: Path) -> None:
    result = report.run("cats", str(tmp_path / "runs"), **artifacts)
    name, place = published.fetch("latest", str(tmp_path / "runs"), tmp_path / "pulled")
    assert name == "cats"
    assert (place / "report.html").read_text() == result.page
    assert (place / "report.md").read_text() == result.markdown
    assert (place / "recipe.txt").read_text() == f"{RECIPE}\n"
    assert (place / "student.pth").read_text() == "student.pth"
    again = read_results((place / "results.json").read_bytes(), "results.json")
    assert again.run == "cats"
    assert again.recipe == RECIPE
    assert [(found.name, found.algorithm) for found in again.studies] == [("global", "evolution"), ("global", "random")]
    assert again.evaluation is not None
    assert list(again.evaluation.detectors) == ["teacher", "distilled"]
    assert (place / "tensorboard" / "evaluate" / "events.out.tfevents.1.host").read_bytes() == b"figures"
    truth, found = published_detections.read(place)
    assert (truth, found) == ([], {"teacher": [{"image_id": 1}]})
    assert "best so far, random search" in result.page
    assert 'href="data:image/jpeg;base64,' in result.page


def test_candidates_come_from_the_journal(artifacts: dict[str, Any]) -> None:
    searched = report.collect("cats", **artifacts).studies[0]
    first = searched.trials[1]
    assert searched.trials[0].candidate == "no distillation"
    assert searched.baseline == 0.3
    assert (first.number, first.seconds) == (1, 2.5)
    assert searched.states["rejected"] == sum("kl" in trial.candidate for trial in searched.trials)


def test_costs_of_all_that_is_known(artifacts: dict[str, Any], tmp_path: Path) -> None:
    def stages(**more: Any) -> dict[str, tuple[float | None, int | None]]:
        return {cost.stage: (cost.seconds, cost.student_steps) for cost in report.collect("cats", **artifacts, **more).costs}

    steps = sum(10 for trial in report.collect("cats", **artifacts).studies[0].trials if trial.state == "complete")
    known = stages()
    assert list(known) == ["evolve global", "random global", "train distilled student", "evaluate"]
    assert known["train distilled student"] == (60.0, 200)
    assert known["evaluate"] == (7.5, None)
    assert known["evolve global"][0] == 33.0
    assert 0 < (known["evolve global"][1] or 0) <= steps
    baseline, teacher = model(tmp_path / "baseline", 50.0, 190), model(tmp_path / "teacher", 400.0, 999)
    more = stages(baseline=baseline, teacher=str(teacher / "student.pth"))
    assert (more["train teacher"], more["train student without distillation"]) == ((400.0, 999), (50.0, 190))
    assert "train teacher" not in stages(teacher="s3://bucket/teacher.pth")


def test_provenance_names_data_detectors_code_and_settings(artifacts: dict[str, Any]) -> None:
    found = report.collect("cats", **artifacts).provenance
    assert found["training"] == {"seed": "3", "epochs": "2", "student_steps": "200"}
    assert found["search"] == {"plan.algorithm": "evolution", "proxy.epochs": "1"}
    assert found["data"] == {"root": "s3://data/cats", "train images": "8", "test images": "4"}
    assert found["annotations (sha256)"]["test.json"] == verify(artifacts["subset"]).files["test.json"].sha256
    assert found["detectors (sha256)"] == {"teacher": "7e" * 32}
    assert found["artifacts (sha256)"]["model"] == verify(artifacts["model"]).digest
    assert len(found["code"]["sources (sha256)"]) == 64
    assert "torch" in found["packages"]


@pytest.mark.parametrize("name", ["../subset/train.json", "/etc/hostname", "examples/absent.jpg"])
def test_only_pictures_of_the_artifact_are_read(artifacts: dict[str, Any], tmp_path: Path, name: str) -> None:
    found = report.collect("cats", **{**artifacts, "evaluation": evaluation(tmp_path / "other", (name,))}).evaluation
    assert isinstance(found, Analysis)
    assert found.examples[0].picture is None


@pytest.mark.parametrize("changes", [{"schema": "detkds.evaluation/1"}, {"images": "four"}, {"detectors": [1]}, {"examples": [{}]}])
def test_an_evaluation_of_another_form_is_named(artifacts: dict[str, Any], tmp_path: Path, changes: dict[str, Any]) -> None:
    other = evaluation(tmp_path / "other", **changes)
    with pytest.raises(ArtifactError, match=r"evaluation\.json cannot be reported"):
        report.collect("cats", **{**artifacts, "evaluation": other})


def test_an_altered_artifact_is_refused(artifacts: dict[str, Any]) -> None:
    (artifacts["model"] / "recipe.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"recipe\.json"):
        report.collect("cats", **artifacts)


def test_the_stage_needs_no_torch() -> None:
    import subprocess

    code = "import sys, detkds.pipeline.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
