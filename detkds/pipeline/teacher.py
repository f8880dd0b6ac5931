"""Before the six stages, where there is no teacher yet: train one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from detkds.data.coco import load
from detkds.detectors.training.batches import Source
from detkds.detectors.training.local_processes import run_in_processes
from detkds.detectors.training.parallel import Group
from detkds.genome import Recipe
from detkds.pipeline import pair as pairs
from detkds.pipeline.data_set import data_set
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.stages import TEACHER
from detkds.pipeline.train import CHECKPOINT, KIND, assist, classes_of, fit, sharing
from detkds.pipeline.transcript import Transcript
from detkds.pipeline.workplace import Workplace, digest
from detkds.storage.artifacts import verify
from detkds.storage.manifest import MANIFEST, file_sha256


def run(
    pair: Pair,
    schedule: Schedule,
    *,
    root: str,
    annotations: str,
    images: str,
    home: Path,
    show: Callable[[str], None],
    processes: int = 0,
) -> Path:
    """The checkpoint of a teacher trained on one annotation file; one that was trained before with the same inputs is returned.

    Args:
        pair: the teacher's config and first weights, given as the student's.
        schedule: of the training.
        root: data set, a folder or an s3:// address.
        annotations, images: relative to it.
        home: teachers are kept below it.
        show: called with each progress line.
        processes: share each batch, as in `train.run`.
    """
    place = data_set(root)
    path = place.annotations(annotations)
    names = [image["file_name"] for image in load(path)["images"]]
    inputs = {"pair": pair, "schedule": schedule.to_json(), "data": file_sha256(path), "images": place.state(images, names)}
    out = home / "teachers" / digest(inputs)[:16]
    if (out / MANIFEST).exists():
        verify(out, KIND)
        show(f"[teacher] trained before: {out / CHECKPOINT}")
    else:
        source = Source(path, place.images(images, names))
        classes = pairs.classes_of_pair(pair, classes_of(source))
        config, _ = pairs.student(pair, classes)
        count = sharing(TEACHER, pairs.settings(schedule, config).batch_size, processes)
        task = partial(_share, pair, classes, schedule, source, inputs=inputs, out=out, log=home / "logs" / "teacher.log")
        _ = task(Group(), show=show) if count == 1 else run_in_processes(count, task, show)
    return out / CHECKPOINT


def _share(
    pair: Pair,
    classes: tuple[str, ...],
    schedule: Schedule,
    source: Source,
    group: Group,
    *,
    inputs: Mapping[str, Any],
    out: Path,
    log: Path,
    show: Callable[[str], None],
) -> None:
    """One process's share of the training; the first process of the group publishes."""
    with Transcript(log, show):
        if group.rank:
            assist(pair, classes, schedule, Recipe(), None, source, group, out=out)
        else:
            fit(pair, classes, schedule, Recipe(), None, source, task=TEACHER, out=out, place=Workplace("teacher", inputs), group=group)
