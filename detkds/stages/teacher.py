"""Before the six stages, where there is no teacher yet: train one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from detkds.data.coco import load
from detkds.detectors.batches import Source
from detkds.genome import Recipe
from detkds.stages.data_set import data_set
from detkds.stages.plans import Pair, Schedule
from detkds.stages.train import CHECKPOINT, KIND, fit
from detkds.stages.transcript import Transcript
from detkds.stages.workplace import Workplace, digest
from detkds.storage.artifacts import verify
from detkds.storage.manifest import MANIFEST, file_sha256


def run(pair: Pair, schedule: Schedule, *, root: str, annotations: str, images: str, home: Path, show: Callable[[str], None]) -> Path:
    """The checkpoint of a teacher trained on one annotation file; one that was trained before with the same inputs is returned.

    Args:
        pair: the teacher's config and first weights stand as the student's.
        schedule: of the training.
        root: data set, a folder or an s3:// address.
        annotations, images: relative to it.
        home: teachers are kept below it.
        show: called with each progress line.
    """
    place = data_set(root)
    path = place.annotations(annotations)
    inputs = {"pair": pair, "schedule": schedule, "data": file_sha256(path)}
    out = home / "teachers" / digest(inputs)[:16]
    if (out / MANIFEST).exists():
        verify(out, KIND)
        show(f"[teacher] trained before: {out / CHECKPOINT}")
    else:
        source = Source(path, place.images(images, (image["file_name"] for image in load(path)["images"])))
        with Transcript(home / "logs" / "teacher.log", show):
            fit(pair, schedule, Recipe(), None, source, task="teacher", out=out, place=Workplace("teacher", inputs))
    return out / CHECKPOINT
