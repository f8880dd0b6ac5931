"""A bout: one training of a contest, from first weights to detections on the test images. Pickles, so that another process may fight it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from detkds.detectors.batches import Samples, Source
from detkds.detectors.configs import build_detector
from detkds.detectors.data_config import read_config
from detkds.detectors.distiller import supported
from detkds.detectors.masks import measured_kind
from detkds.detectors.train import load_detector
from detkds.errors import ArtifactError, Rejected
from detkds.evaluation.coco import evaluate
from detkds.genome import Knowledge, Recipe
from detkds.search.trial import Trial, TrialState
from detkds.stages import pair as pairs
from detkds.stages import train
from detkds.stages.evaluate import detections_of
from detkds.stages.plans import Pair, Schedule
from detkds.stages.subset import part
from detkds.stages.transcript import Transcript
from detkds.stages.workplace import home
from detkds.storage.artifacts import publishing, verify
from detkds.storage.manifest import MANIFEST

MODEL, DETECTIONS = "model", "detections"
"""Artifacts in the folder of a bout."""
FILE = "detections.json"


@dataclass(frozen=True)
class Arena:
    """What all bouts of a contest share; see Contest."""

    pair: Pair
    schedule: Schedule
    subset: Path


@dataclass(frozen=True)
class Bout:
    """One training.

    Args:
        number: of its trial.
        title: for progress lines.
        recipe, seed, inherit: see Entry.
        folder: where its artifacts go.
    """

    number: int
    title: str
    recipe: Recipe
    seed: int
    inherit: bool
    folder: Path


def fight(arena: Arena, bout: Bout, show: Callable[[str], None]) -> Trial:
    """Train the student and run it over the test images; whichever of the two was done before is not done again."""

    def named(line: str) -> None:
        show(f"[compare] {bout.title}: {line.partition('] ')[2]}")

    trial = Trial(bout.number, bout.recipe, TrialState.COMPLETE)
    try:
        with Transcript(home() / "logs" / "compare.log", named):
            model = bout.folder / MODEL
            if not (model / MANIFEST).exists():
                pair, schedule = replace(arena.pair, inherit=bout.inherit), replace(arena.schedule, seed=bout.seed)
                train.run(pair, schedule, bout.recipe, subset=arena.subset, out=model, processes=1)
            steps = int(verify(model, train.KIND).meta["student_steps"])
            figures = _measure(arena, model, bout.folder / DETECTIONS)
    except Rejected as rejected:
        return replace(trial, state=TrialState.REJECTED, reason=str(rejected), student_steps=rejected.student_steps)
    return replace(trial, score=figures["AP"], student_steps=steps, details={name: figures[name] for name in ("AP50", "AP75")})


def unsupported(arena: Arena) -> dict[Knowledge, str]:
    """Knowledges that the pair cannot share, and why."""
    pair, classes = arena.pair, train.classes_of(_test(arena))
    student = build_detector(pairs.student(pair, classes)[0], seed=0)
    teacher = build_detector(pairs.detector_config(pair.teacher_config, classes, pretrained=True), seed=0)
    return {knowledge: reason for knowledge, reason in supported(student, teacher).items() if reason}


def look_through_teacher(arena: Arena, out: Path) -> None:
    """Publish what the teacher finds in the test images at `out`, if that was not done before."""
    if (out / MANIFEST).exists():
        return
    pair, source = arena.pair, _test(arena)
    classes = train.classes_of(source)
    detector = pairs.teacher(pair.teacher_config, pair.teacher_checkpoint, classes)
    config = pairs.detector_config(pair.teacher_config, classes, pretrained=True)
    _publish(detector, Samples(config, source, training=False), arena, out)


def _measure(arena: Arena, model: Path, out: Path) -> dict[str, float]:
    config = read_config(str(model / train.CONFIG))
    detector = load_detector(config, model / train.CHECKPOINT, what="trained checkpoint")
    samples = Samples(config, _test(arena), training=False)
    if not (out / MANIFEST).exists():
        _publish(detector, samples, arena, out)
    return evaluate(samples.truth, read_detections(out), kind=measured_kind(detector)).figures


def _test(arena: Arena) -> Source:
    test = part(arena.subset, "test")
    return Source(test.annotations, test.images)


def _publish(detector: nn.Module, samples: Samples, arena: Arena, out: Path) -> None:
    found = detections_of(detector, samples, arena.schedule.batch_size or 1)
    with publishing(out, kind=DETECTIONS, meta={}) as folder:
        (folder / FILE).write_text(json.dumps(found))


def read_detections(artifact: Path) -> list[dict[str, Any]]:
    """The COCO results of a published bout.

    Raises:
        ArtifactError: it is not whole.
    """
    verify(artifact, DETECTIONS)
    try:
        found: list[dict[str, Any]] = json.loads((artifact / FILE).read_text())
    except ValueError as error:
        raise ArtifactError(f"artifact {artifact} must hold COCO results, but {FILE} cannot be read: {error}; remove it.") from None
    return found
