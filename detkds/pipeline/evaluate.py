"""Stage 5, evaluate: teacher, student without distillation and distilled student on the final test images."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from detkds.detectors.configs.data_config import read_config
from detkds.detectors.predict import Detection, predict
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.train import load_detector
from detkds.evaluation.analysis import Analysis
from detkds.pipeline import pair as pairs
from detkds.pipeline.example_pictures import pictures
from detkds.pipeline.loggers import Loggers
from detkds.pipeline.measure import measure
from detkds.pipeline.measurement import KIND, Measurement, conclude, read, write
from detkds.pipeline.progress import report_errors, say
from detkds.pipeline.settings import Pair, Result
from detkds.pipeline.stages import EVALUATE
from detkds.pipeline.subset import part
from detkds.pipeline.task_progress import Progress
from detkds.pipeline.train import CHECKPOINT, CONFIG, classes_of
from detkds.pipeline.train import KIND as MODEL
from detkds.processes import use_cpus
from detkds.storage.artifacts import publishing, verify

__all__ = ["detections_of", "read", "run"]

TEACHER = "teacher"
COMPARED = (("distilled", "student"), ("distilled", TEACHER))
"""Whose difference is tested: the gain, and what is left to the teacher."""


@report_errors
def run(
    teacher_config: str,
    teacher_checkpoint: str,
    students: Mapping[str, Path],
    *,
    subset: Path,
    batch_size: int,
    out: Path,
    work: str = "",
    loggers: Sequence[str] = (),
) -> Result:
    """Publish the analysis, detections and examples of the teacher and of each student (name to model artifact) at `out`, with an event
    file of figures and examples for TensorBoard. `loggers` receive them too, see `pipeline.loggers`. A teacher that is a backbone alone
    or the moving average of the student is left out.

    Raises:
        DetKDSError: a model or the data cannot be used; the message says which.
    """
    use_cpus()
    data = part(subset, "test")
    source = Source(data.annotations, data.images)
    began = time.monotonic()
    meta: dict[str, Any] = {}
    measured: dict[str, Measurement] = {}
    if reason := pairs.not_measured(teacher_config):
        say(EVALUATE, f"teacher: {reason}")
    elif beside := pairs.others(teacher_config):
        say(EVALUATE, f"teacher: the first of {1 + len(beside)} teachers is evaluated")
    seen = Progress(EVALUATE, "image", work=work, images=1)
    with publishing(out, kind=KIND, meta=meta) as folder:
        detectors = (*(() if reason else (TEACHER,)), *students)
        for place, name in enumerate(detectors):
            detector, config = _detector(name, teacher_config, teacher_checkpoint, students, source)
            samples = Samples(config, source, training=False)
            measured[name] = measure(
                detector, samples, batch_size=batch_size or 1, progress=partial(_tell, seen, name, place, len(detectors))
            )
        compare = [(a, b) for a, b in COMPARED if a in measured and b in measured]
        analysis = conclude(samples.truth, measured, compare)
        write(folder, analysis, measured, samples.truth, source.images)
        _log(analysis, measured, samples.truth, source, loggers, folder)
        meta["seconds"] = round(time.monotonic() - began, 1)
    for name, detector_kind, figure in _headlines(analysis):
        say(EVALUATE, f"{name}: {detector_kind} {100 * figure:.1f} on {analysis.images} images")
    headlines = {f"{name}_AP": detector.kinds["bbox"].figures["AP"] for name, detector in analysis.detectors.items()}
    return Result(headlines, dict(_metrics(analysis)))


def detections_of(detector: nn.Module, samples: Samples, batch_size: int) -> list[Detection]:
    """COCO results of a detector on all images."""
    return [detection for found in predict(detector, samples, batch_size=batch_size) for detection in found.detections]


def _detector(name: str, config: str, checkpoint: str, students: Mapping[str, Path], source: Source) -> tuple[nn.Module, Any]:
    if name == TEACHER:
        classes = pairs.classes_of_pair(Pair(config, checkpoint, ""), classes_of(source))
        return pairs.teacher(config, checkpoint, classes), pairs.detector_config(config, classes, pretrained=True)
    verify(students[name], MODEL)
    own = read_config(str(students[name] / CONFIG))
    return load_detector(own, students[name] / CHECKPOINT, what=f"{name} checkpoint"), own


def _log(
    analysis: Analysis,
    measured: Mapping[str, Measurement],
    truth: Mapping[str, Any],
    source: Source,
    names: Sequence[str],
    artifact: Path,
) -> None:
    """AP of each detector, and what each found in the examples beside what is there."""
    found = {name: one.detections for name, one in measured.items()}
    students = {name: one.description for name, one in measured.items()}
    with Loggers(EVALUATE, names, key=str(source.annotations), settings=students, artifact=artifact) as told:
        for name, detector in analysis.detectors.items():
            for kind, result in detector.kinds.items():
                told.scalars(0, {f"{_word(kind, figure)}/{name}": value for figure, value in _known(result.figures)})
        for title, picture in pictures([example.image_id for example in analysis.examples], truth, found, source.images):
            told.image(title, picture)


def _word(kind: str, figure: str) -> str:
    return figure if kind == "bbox" else f"mask_{figure}"


def _tell(seen: Progress, name: str, place: int, detectors: int, done: int, images: int) -> None:
    """So many images are done by the detector that is the `place`-th of so many; what is counted is images of all."""
    seen.tell(place * images + done, detectors * images, what=name)


def _headlines(analysis: Analysis) -> Iterator[tuple[str, str, float]]:
    words = {"bbox": "AP", "segm": "mask AP"}
    for name, detector in analysis.detectors.items():
        for kind, result in detector.kinds.items():
            yield name, words[kind], result.figures["AP"]


def _metrics(analysis: Analysis) -> Iterator[tuple[str, float]]:
    """Flat figures for KFP's run comparison: distilled_AP, distilled_AP_low, distilled_segm_AP, distilled_vs_student_AP_p and so on."""
    for name, detector in analysis.detectors.items():
        for kind, result in detector.kinds.items():
            stem = _stem(name, kind)
            yield from _known({f"{stem}_{figure}": value for figure, value in result.figures.items()})
            for figure, (low, high) in (result.interval.bounds if result.interval else {}).items():
                yield from _known({f"{stem}_{figure}_low": low, f"{stem}_{figure}_high": high})
    for test in analysis.comparisons:
        stem = f"{_stem(f'{test.a}_vs_{test.b}', test.kind)}_{test.figure}"
        yield from _known({stem: test.difference, f"{stem}_low": test.low, f"{stem}_high": test.high, f"{stem}_p": test.p})


def _stem(name: str, kind: str) -> str:
    return name if kind == "bbox" else f"{name}_{kind}"


def _known(values: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    return ((name, value) for name, value in values.items() if math.isfinite(value))
