"""Stage 6, report: one page about the run, and its results under fixed keys of the store. Needs no torch."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from detkds.errors import ArtifactError, GenomeError
from detkds.evaluation.result import Analysis, Role
from detkds.genome import Recipe
from detkds.objective import scored_by
from detkds.pipeline import measurement, published_detections, studies
from detkds.pipeline import publish as published
from detkds.pipeline.loggers import FOLDER
from detkds.pipeline.progress import report_errors, say
from detkds.pipeline.provenance import provenance
from detkds.pipeline.settings import Result
from detkds.pipeline.stages import BASELINE, DISTILLED, EVALUATE, REPORT
from detkds.pipeline.subset import Part, part
from detkds.pipeline.task import LEADERBOARD, TIMINGS, run_name
from detkds.pipeline.task_progress import Progress
from detkds.report.curve import LossCurve, read_log
from detkds.report.data import ReportData, StageCost
from detkds.report.leaderboard import Leaderboard
from detkds.report.markdown import markdown
from detkds.report.page import render
from detkds.report.results import results as as_results
from detkds.report.study import ReportedStudy, ReportedTrial
from detkds.search.history import History
from detkds.search.journal import timings
from detkds.storage.artifacts import publishing, verify
from detkds.storage.manifest import MANIFEST

MODEL = "model"
LOG = "training.jsonl"
STUDENT_FILES = ("student.pth", "student.safetensors", "student.py", "student.json", "recipe.json")


@report_errors
def run(
    run_name: str,
    results: str,
    *,
    subset: Path,
    studies: Sequence[Path],
    model: Path,
    evaluation: Path,
    baseline: Path | None = None,
    teacher: str = "",
    work: str = "",
) -> Result:
    """Publish student, recipe, page and figures below `results`, a folder or an s3:// address, and return the page.

    Args:
        run_name: the run's name.
        results: where runs are published.
        subset, model, evaluation: artifacts; `model` is that of the distilled student.
        studies: artifacts of the searches, a random one beside an evolution too.
        baseline: model artifact of the student without distillation, for what its training took.
        teacher: address of the teacher's checkpoint, for what its training took where this project trained it.
        work: see Workplace; who follows the run reads there that it is finished.

    Raises:
        DetKDSError: an artifact is not whole, or the store refuses.
    """
    data = collect(run_name, subset=subset, studies=studies, model=model, evaluation=evaluation, baseline=baseline, teacher=teacher)
    page, summary = render(data), markdown(data)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "results"
        events = {DISTILLED: model, BASELINE: baseline, EVALUATE: evaluation}
        publish_folder(folder, data, page, summary, model, evaluation, part(subset, "test"), events)
        address = published.publish(folder, run_name, results)
    say(REPORT, f"published at {address}")
    Progress(REPORT, "page", work=work, lines=False).tell(1, 1)
    return Result({"results": address}, markdown=summary, page=page)


def publish_folder(
    folder: Path,
    data: ReportData,
    page: str,
    summary: str,
    model: Path,
    evaluation: Path,
    test: Part,
    events: Mapping[str, Path | None],
) -> None:
    """Write the results artifact: what `detkds pull` brings; `events` are artifacts with event files for TensorBoard, by their stage."""
    with publishing(folder, kind=published.KIND, meta={"run": data.run, **published_detections.place_of(test)}) as inside:
        (inside / "report.html").write_text(page)
        (inside / "report.md").write_text(summary)
        (inside / "results.json").write_text(json.dumps(as_results(data), indent=1, allow_nan=False))
        (inside / "recipe.txt").write_text(f"{data.recipe}\n")
        for name in STUDENT_FILES:
            shutil.copy(model / name, inside / name)
        published_detections.write(inside, test, evaluation)
        for stage, artifact in events.items():
            if artifact is not None and (artifact / FOLDER).is_dir():
                shutil.copytree(artifact / FOLDER, inside / FOLDER / run_name(stage))


def collect(
    run_name: str,
    *,
    subset: Path,
    studies: Sequence[Path],
    model: Path,
    evaluation: Path,
    baseline: Path | None = None,
    teacher: str = "",
) -> ReportData:
    """The content of the report, from the artifacts of a run; see `run`."""
    measured = verify(evaluation, measurement.KIND)
    found, histories, searched = _studies(studies)
    known = {
        "train teacher": _training(Path(teacher).parent if teacher else None),
        "train student without distillation": _training(baseline),
        "train distilled student": _training(model),
        "evaluate": (measured.meta["seconds"], None),
    }
    return ReportData(
        run=run_name,
        evaluation=_evaluation(evaluation),
        studies=found,
        recipe=_recipe(model),
        costs=(*searched, *(StageCost(stage, *cost) for stage, cost in known.items() if cost)),
        leaderboard=_leaderboard(studies),
        curves=_curves({Role.STUDENT: baseline, Role.DISTILLED: model}),
        provenance=provenance(histories, {"subset": subset, "model": model, "evaluation": evaluation}),
    )


def _evaluation(artifact: Path) -> Analysis:
    """The evaluation with the pictures of its examples.

    Raises:
        ArtifactError: it has another form than this report reads.
    """
    found = measurement.read_analysis(artifact / measurement.FILE)
    pictures = [example.file for example in found.examples if (artifact / example.file).is_file()]
    inside = [name for name in pictures if (artifact / name).resolve().is_relative_to(artifact.resolve())]
    return found.with_pictures({name: (artifact / name).read_bytes() for name in inside})


def _leaderboard(artifacts: Sequence[Path]) -> Leaderboard | None:
    """The leaderboard of the search's last stage; None where it compared no recipes at the end.

    Raises:
        ArtifactError: it has another form than this report reads.
    """
    for path in (artifact / LEADERBOARD for artifact in artifacts):
        if path.is_file():
            try:
                return Leaderboard.read(json.loads(path.read_text()))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ArtifactError(f"{path} cannot be reported: {type(error).__name__} {str(error)[:120]}; search again.") from None
    return None


def _curves(models: Mapping[str, Path | None]) -> tuple[LossCurve, ...]:
    """The loss curves of model artifacts by the name of the detector."""
    logs = {name: artifact / LOG for name, artifact in models.items() if artifact is not None}
    return tuple(read_log(name, path.read_text().splitlines()) for name, path in logs.items() if path.is_file())


def _recipe(model: Path) -> Recipe:
    try:
        return Recipe.from_json(json.loads((model / "recipe.json").read_text()))
    except (OSError, ValueError, GenomeError) as error:
        raise ArtifactError(f"artifact {model} holds no recipe that can be read: {error}") from None


def _training(artifact: Path | None) -> tuple[float, int] | None:
    """Seconds and steps of a training by DetKDS; None if it was trained elsewhere."""
    if artifact is None or not (artifact / MANIFEST).is_file():
        return None
    meta = verify(artifact, MODEL).meta
    return meta["seconds"], meta["student_steps"]


def _studies(artifacts: Sequence[Path]) -> tuple[tuple[ReportedStudy, ...], list[History], list[StageCost]]:
    found, histories, costs = [], [], []
    for artifact in artifacts:
        summary, history, seconds = studies.read(artifact)
        if history is not None:
            plan = history.settings.get("plan") or {}
            name, algorithm = summary["name"], str(plan.get("algorithm", "evolution"))
            found.append(ReportedStudy(name, _points(history, timings(artifact / TIMINGS)), algorithm, scored_by(history.settings)))
            histories.append(history)
            costs.append(StageCost(_stage(name, algorithm), seconds, summary["student_steps"]))
    return tuple(found), histories, costs


def _stage(study: str, algorithm: str) -> str:
    return study if study == "weights" else f"{'evolve' if algorithm == 'evolution' else algorithm} {study}"


def _points(history: History, seconds: Mapping[int, float]) -> tuple[ReportedTrial, ...]:
    return tuple(
        ReportedTrial(number, str(trial.recipe), trial.score, str(trial.state), trial.reason, seconds.get(number), trial.partial)
        for number, trial in history.trials.items()
    )
