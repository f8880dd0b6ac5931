"""Stage 6, report: one page about the run, and its results under fixed keys of the store."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from detkds import results as published
from detkds.genome import Recipe
from detkds.genome.formula import formula
from detkds.report.data import Detector, ReportData, Role, StageCost, Study, TrialPoint
from detkds.report.markdown import markdown
from detkds.report.page import render
from detkds.report.results import results as as_results
from detkds.search.history import History
from detkds.stages import evaluate, studies
from detkds.stages.plans import Result
from detkds.stages.progress import say, told
from detkds.stages.train import KIND as MODEL
from detkds.stages.train import recipe_of
from detkds.storage.artifacts import publishing, verify

ROLES = {"teacher": Role.TEACHER, "student": Role.BASELINE, "distilled": Role.DISTILLED}
PACKAGES = ("detkds", "torch", "onedl-mmdetection", "onedl-mmengine", "onedl-mmcv", "pycocotools", "numpy")
STUDENT_FILES = ("student.pth", "student.py", "student.json", "recipe.json")


@told
def run(run_name: str, results: str, *, subset: Path, studies: Sequence[Path], model: Path, evaluation: Path) -> Result:
    """Publish student, recipe, page and figures below `results`, a folder or an s3:// address, and return the page.

    Raises:
        DetKDSError: an artifact is not whole, or the store refuses.
    """
    data = collect(run_name, subset=subset, studies=studies, model=model, evaluation=evaluation)
    page, summary = render(data), markdown(data)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "results"
        publish_folder(folder, data, page, summary, model)
        address = published.publish(folder, run_name, results)
    say("report", f"published at {address}")
    return Result({"results": address}, markdown=summary, page=page)


def publish_folder(folder: Path, data: ReportData, page: str, summary: str, model: Path) -> None:
    """Write the results artifact: what `detkds pull` brings."""
    with publishing(folder, kind=published.KIND, meta={"run": data.run}) as inside:
        (inside / "report.html").write_text(page)
        (inside / "report.md").write_text(summary)
        (inside / "results.json").write_text(json.dumps(as_results(data), indent=1))
        (inside / "recipe.txt").write_text(f"{data.recipe}\n")
        for name in STUDENT_FILES:
            shutil.copy(model / name, inside / name)


def collect(run_name: str, *, subset: Path, studies: Sequence[Path], model: Path, evaluation: Path) -> ReportData:
    """What the report tells, from the artifacts of a run."""
    figures, measured = evaluate.read(evaluation)
    trained = verify(model, MODEL)
    recipe = recipe_of(model)
    told_studies, costs = _studies(studies)
    costs += [StageCost("train", trained.meta["seconds"], trained.meta["student_steps"]), StageCost("evaluate", measured["seconds"])]
    return ReportData(
        run=run_name,
        detectors=tuple(Detector(ROLES[name], measured["detectors"][name], scores) for name, scores in figures.items()),
        studies=told_studies,
        recipe=recipe,
        formulas={genome.knowledge: formula(genome, recipe.semantics) for genome in recipe.active},
        costs=tuple(costs),
        provenance=_provenance(recipe, {"subset": subset, "model": model, "evaluation": evaluation}, trained.meta),
    )


def _studies(artifacts: Sequence[Path]) -> tuple[tuple[Study, ...], list[StageCost]]:
    told_studies, costs = [], []
    for artifact in artifacts:
        summary, history, seconds = studies.read(artifact)
        if history is not None:
            told_studies.append(Study(summary["name"], _points(history, _timings(artifact))))
            costs.append(StageCost(_stage(summary["name"]), seconds, summary["student_steps"]))
    return tuple(told_studies), costs


def _stage(study: str) -> str:
    return study if study == "weights" else f"evolve {study}"


def _points(history: History, seconds: Mapping[int, float]) -> tuple[TrialPoint, ...]:
    return tuple(
        TrialPoint(number, str(trial.recipe), trial.score, str(trial.state), trial.reason, seconds.get(number), trial.partial)
        for number, trial in history.trials.items()
    )


def _timings(artifact: Path) -> dict[int, float]:
    path = artifact / studies.TIMINGS
    lines = path.read_text().splitlines() if path.exists() else []
    entries = [json.loads(line) for line in lines]
    return {int(entry["number"]): float(entry["seconds"]) for entry in entries}


def _provenance(recipe: Recipe, artifacts: Mapping[str, Path], meta: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {
        "run": {"semantics": recipe.semantics, "recipe digest": recipe.digest, "seed": str(meta["seed"]), "epochs": str(meta["epochs"])},
        "artifacts (sha256)": {name: verify(path).digest for name, path in artifacts.items()},
        "packages": {name: version(name) for name in PACKAGES},
        "machine": {"python": platform.python_version(), "system": platform.platform(), "processors": str(os.cpu_count())},
    }
