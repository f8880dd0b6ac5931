"""Before the six stages, where there is no teacher yet: train one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from detkds.detectors.batches import Source
from detkds.genome import Recipe
from detkds.stages.plans import Pair, Schedule
from detkds.stages.train import CHECKPOINT, KIND, fit
from detkds.stages.transcript import Transcript
from detkds.stages.workplace import digest, local, workplace
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
    source = Source(local(root) / annotations, local(root) / images)
    inputs = {"pair": pair, "schedule": schedule, "data": file_sha256(source.annotations)}
    out = home / "teachers" / digest(inputs)[:16]
    if (out / MANIFEST).exists():
        verify(out, KIND)
        show(f"[teacher] trained before: {out / CHECKPOINT}")
    else:
        with Transcript(home / "logs" / "teacher.log", show):
            fit(pair, schedule, Recipe(), None, source, task="teacher", out=out, work=workplace("teacher", **inputs))
    return out / CHECKPOINT
