"""One training of an experiment, from first weights to detections on the test images. Picklable, so it can run in another process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from detkds.detectors.configs.config import build_detector
from detkds.detectors.configs.data_config import read_config
from detkds.detectors.sharing import supported
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.masks import measured_kind
from detkds.detectors.training.train import load_detector
from detkds.errors import ArtifactError, Rejected
from detkds.evaluation.coco import evaluate
from detkds.genome import Knowledge, Recipe
from detkds.pipeline import pair as pairs
from detkds.pipeline import train
from detkds.pipeline.evaluate import detections_of
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.subset import part
from detkds.pipeline.transcript import Transcript
from detkds.pipeline.workplace import home
from detkds.search.trial import Trial, TrialState
from detkds.storage.artifacts import publishing, verify
from detkds.storage.manifest import MANIFEST

MODEL, DETECTIONS = "model", "detections"
"""Artifacts in the folder of a training."""
FILE = "detections.json"


@dataclass(frozen=True)
class TrainingContext:
    """What all trainings of an experiment share; see Trainings."""

    pair: Pair
    schedule: Schedule
    subset: Path
    loggers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """One training.

    Args:
        number: of its trial.
        title: for progress lines.
        recipe, seed, inherit, unlabelled: see Entry.
        folder: where its artifacts go.
    """

    number: int
    title: str
    recipe: Recipe
    seed: int
    inherit: bool
    folder: Path
    unlabelled: bool = True


def train_and_evaluate(context: TrainingContext, training: Training, show: Callable[[str], None]) -> Trial:
    """Train the student and run it over the test images; whichever of the two was done before is not done again."""

    def named(line: str) -> None:
        show(f"[compare] {training.title}: {line.partition('] ')[2]}")

    trial = Trial(training.number, training.recipe, TrialState.COMPLETE)
    try:
        with Transcript(home() / "logs" / "compare.log", named):
            model = training.folder / MODEL
            if not (model / MANIFEST).exists():
                pair, schedule = replace(context.pair, inherit=training.inherit), replace(context.schedule, seed=training.seed)
                schedule = schedule if training.unlabelled else replace(schedule, unlabelled=None)
                train.run(pair, schedule, training.recipe, subset=context.subset, out=model, loggers=context.loggers, processes=1)
            steps = int(verify(model, train.KIND).meta["student_steps"])
            figures = _measure(context, model, training.folder / DETECTIONS)
    except Rejected as rejected:
        return replace(trial, state=TrialState.REJECTED, reason=str(rejected), student_steps=rejected.student_steps)
    return replace(trial, score=figures["AP"], student_steps=steps, details={name: figures[name] for name in ("AP50", "AP75")})


def unsupported(context: TrainingContext) -> dict[Knowledge, str]:
    """Knowledges that the pair cannot share, and why."""
    pair = context.pair
    classes = pairs.classes_of_pair(pair, train.classes_of(_test(context)))
    student = build_detector(pairs.student(pair, classes)[0], seed=0)
    beside = [pairs.untrained(other.config, classes) for other in pairs.others(pair.teacher_config)]
    teacher = pairs.ensemble(pair, pairs.untrained(pair.teacher_config, classes), beside)
    return {knowledge: reason for knowledge, reason in supported(student, teacher).items() if reason}


def evaluate_teacher(context: TrainingContext, out: Path) -> None:
    """Publish what the teacher finds in the test images at `out`, if that was not done before."""
    if (out / MANIFEST).exists():
        return
    pair, source = context.pair, _test(context)
    classes = pairs.classes_of_pair(Pair(pair.teacher_config, pair.teacher_checkpoint, ""), train.classes_of(source))
    detector = pairs.teacher(pair.teacher_config, pair.teacher_checkpoint, classes)
    config = pairs.detector_config(pair.teacher_config, classes, pretrained=True)
    _publish(detector, Samples(config, source, training=False), context, out)


def _measure(context: TrainingContext, model: Path, out: Path) -> dict[str, float]:
    config = read_config(str(model / train.CONFIG))
    detector = load_detector(config, model / train.CHECKPOINT, what="trained checkpoint")
    samples = Samples(config, _test(context), training=False)
    if not (out / MANIFEST).exists():
        _publish(detector, samples, context, out)
    return evaluate(samples.truth, read_detections(out), kind=measured_kind(detector)).figures


def _test(context: TrainingContext) -> Source:
    test = part(context.subset, "test")
    return Source(test.annotations, test.images)


def _publish(detector: nn.Module, samples: Samples, context: TrainingContext, out: Path) -> None:
    found = detections_of(detector, samples, context.schedule.batch_size or 1)
    with publishing(out, kind=DETECTIONS, meta={}) as folder:
        (folder / FILE).write_text(json.dumps(found))


def read_detections(artifact: Path) -> list[dict[str, Any]]:
    """The COCO results of a published training.

    Raises:
        ArtifactError: it is not whole.
    """
    verify(artifact, DETECTIONS)
    try:
        found: list[dict[str, Any]] = json.loads((artifact / FILE).read_text())
    except ValueError as error:
        raise ArtifactError(f"artifact {artifact} must hold COCO results, but {FILE} cannot be read: {error}; remove it.") from None
    return found
