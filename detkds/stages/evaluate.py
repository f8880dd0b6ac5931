"""Stage 5, evaluate: teacher, student without distillation and distilled student on the final test images."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from detkds.detectors.batches import Samples, Source
from detkds.detectors.data_config import read_config
from detkds.detectors.predict import predict
from detkds.detectors.train import load_detector
from detkds.evaluation.coco import Evaluation
from detkds.evaluation.coco import evaluate as coco_figures
from detkds.stages import pair as pairs
from detkds.stages.plans import Result
from detkds.stages.progress import say, told
from detkds.stages.subset import part
from detkds.stages.train import CHECKPOINT, CONFIG, classes_of
from detkds.stages.train import KIND as MODEL
from detkds.storage.artifacts import publishing, verify

KIND = "evaluation"
TEACHER = "teacher"


@told
def run(teacher_config: str, teacher_checkpoint: str, students: Mapping[str, Path], *, subset: Path, batch_size: int, out: Path) -> Result:
    """Publish figures and detections of the teacher and of each student (name to model artifact) at `out`.

    Raises:
        DetKDSError: a model or the data cannot be used; the message says which.
    """
    data = part(subset, "test")
    source = Source(data.annotations, data.images)
    began = time.monotonic()
    described: dict[str, str] = {}
    meta: dict[str, Any] = {"detectors": described}
    figures: dict[str, Evaluation] = {}
    with publishing(out, kind=KIND, meta=meta) as folder:
        for name in (TEACHER, *students):
            detector, config = _detector(name, teacher_config, teacher_checkpoint, students, source)
            found = detections_of(detector, Samples(config, source, training=False), batch_size or 1)
            described[name] = description(detector)
            figures[name] = coco_figures(source.annotations, found)
            (folder / f"detections_{name}.json").write_text(json.dumps(found))
            say("evaluate", f"{name}: AP {100 * figures[name].figures['AP']:.1f} on {figures[name].images} images")
        (folder / "evaluation.json").write_text(json.dumps({name: value.to_json() for name, value in figures.items()}, indent=1))
        meta["seconds"] = round(time.monotonic() - began, 1)
    metrics = {f"{name}_{figure}": value for name, result in figures.items() for figure, value in result.figures.items() if value == value}
    return Result({f"{name}_AP": result.figures["AP"] for name, result in figures.items()}, metrics)


def read(artifact: Path) -> tuple[dict[str, Evaluation], dict[str, Any]]:
    """Evaluations by name and the metadata (seconds, and what each detector is) of a published evaluation.

    Raises:
        ArtifactError: the artifact is not whole.
    """
    meta = verify(artifact, KIND).meta
    stored = json.loads((artifact / "evaluation.json").read_text())
    return {name: Evaluation.from_json(value) for name, value in stored.items()}, dict(meta)


def description(detector: nn.Module) -> str:
    """What a detector is, for people: RetinaNet, 1.1 million parameters."""
    size = sum(parameter.numel() for parameter in detector.parameters()) / 1e6
    return f"{type(detector).__name__}, {size:.1f} million parameters"


def detections_of(detector: nn.Module, samples: Samples, batch_size: int) -> list[dict[str, Any]]:
    """COCO results of a detector on all images."""
    return [detection for found in predict(detector, samples, batch_size=batch_size) for detection in found.detections]


def _detector(name: str, config: str, checkpoint: str, students: Mapping[str, Path], source: Source) -> tuple[nn.Module, Any]:
    classes = classes_of(source)
    if name == TEACHER:
        return pairs.teacher(config, checkpoint, classes), pairs.detector_config(config, classes, pretrained=True)
    verify(students[name], MODEL)
    own = read_config(str(students[name] / CONFIG))
    return load_detector(own, students[name] / CHECKPOINT, what=f"{name} checkpoint"), own
