"""Before anything is distilled: whether the teacher can do on the student's batches what it does with its own pipeline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from detkds.detectors.teaching import Teaching, teaching
from detkds.detectors.training.batches import Source
from detkds.errors import ArtifactError, ConfigError
from detkds.pipeline import pair as pairs
from detkds.pipeline.progress import say
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.subset import part
from detkds.pipeline.train import classes_of, content
from detkds.pipeline.workplace import Workplace, digest
from detkds.storage.artifacts import verify, write_atomic

FILE = "teaching.json"
IMAGES = 32
"""Images with objects that a teacher is measured on."""
SHARE, LEAST = 0.25, 0.01
"""Without teacher.min_ap a teacher must reach this share of its own AP, and this AP."""
APART = 1.05
"""From this ratio of sizes on a teacher works at another image size than the student."""


def require_teaching(task: str, pair: Pair, schedule: Schedule, subset: Path, work: str = "") -> None:
    """Measure the teacher on search-train as it teaches, once a place of work; say both figures, and stop where it cannot teach.

    Args:
        task: names the task in the line that is printed.
        pair, schedule: of the training; the teacher's config may hold `as_teacher` with `min_ap`, see `run.teacher_address`.
        subset: artifact of the subset stage.
        work: see Workplace.

    A backbone alone detects nothing, and a moving average of the student is none yet, so they are not measured.

    Raises:
        ConfigError: the teacher is below the floor.
    """
    for name, one in each(pair):
        if not pairs.not_measured(one.teacher_config):
            _require(task, name, one, schedule, subset, work)


def each(pair: Pair) -> list[tuple[str, Pair]]:
    """The pairs of the student with each of its teachers, and what a teacher is called in a line."""
    others = pairs.others(pair.teacher_config)
    found = [pair, *(replace(pair, teacher_config=other.config, teacher_checkpoint=other.checkpoint) for other in others)]
    return [(f"teacher {number}" if others else "teacher", one) for number, one in enumerate(found, 1)]


def _require(task: str, name: str, pair: Pair, schedule: Schedule, subset: Path, work: str) -> None:
    contents = {name: content(value) for name, value in asdict(pair).items()}
    place = Workplace("teaching", {"pair": contents, "batch": schedule.batch_size, "subset": verify(subset).digest}, work)
    known = place.fetch(FILE, check=_read)
    if known.exists():
        measured = _read(known)
    else:
        data = part(subset, "search_train")
        source = few(Source(data.annotations, data.images), place.folder / "few.json")
        measured = measure(pair, schedule, source)
        stored = asdict(measured)
        write_atomic(known, json.dumps({**stored, "sha256": digest(stored)}) + "\n")
        place.put(FILE)
        say(task, f"{name}: {described(measured)}")
    if refusal := below_floor(measured, pairs.as_teacher(pair.teacher_config)):
        raise ConfigError(refusal if name == "teacher" else f"{name}: {refusal}")


def measure(pair: Pair, schedule: Schedule, source: Source) -> Teaching:
    """The teacher of a pair on the images of a source, in both ways."""
    classes = pairs.classes_of_pair(pair, classes_of(source))
    config, _ = pairs.student(pair, classes)
    teacher = pairs.teacher(pair.teacher_config, pair.teacher_checkpoint, classes)
    own = pairs.detector_config(pair.teacher_config, classes, pretrained=True)
    return teaching(teacher, own, config, source, batch_size=pairs.settings(schedule, config).batch_size)


def few(source: Source, path: Path) -> Source:
    """The first images with objects of a source, their annotations written to `path`."""
    data = json.loads(source.annotations.read_text())
    occupied = {annotation["image_id"] for annotation in data["annotations"] if not annotation["iscrowd"]}
    images = [image for image in data["images"] if image["id"] in occupied][:IMAGES]
    ids = {image["id"] for image in images}
    kept = [annotation for annotation in data["annotations"] if annotation["image_id"] in ids]
    write_atomic(path, json.dumps({**data, "images": images, "annotations": kept}))
    return Source(path, source.images)


def described(measured: Teaching) -> str:
    """Both figures, and the sizes of images where they differ."""
    text = (
        f"AP {100 * measured.own:.1f} by its own pipeline, {100 * measured.taught:.1f} as it teaches, "
        f"on {measured.images} training images in the student's batches"
    )
    if 1 / APART < measured.scale < APART:
        return text
    own, shown = (f"{width} x {height}" for height, width in (measured.own_size, measured.shown_size))
    return f"{text}; it works at {own} pixels and is shown {shown} ({_remedy(measured)})"


def below_floor(measured: Teaching, asked: Mapping[str, Any] | None) -> str:
    """Why a teacher must not teach; empty where it may.

    Args:
        measured: what it reaches.
        asked: `min_ap` in points of AP, None for the default; without a mapping nothing is asked of it.
    """
    if asked is None:
        return ""
    points = asked.get("min_ap")
    floor = max(SHARE * measured.own, LEAST) if points is None else points / 100
    if not measured.taught < floor:  # a nan, where no object is left to find, is not a figure to stop at
        return ""
    rule = "a quarter of its own AP, and at least 1" if points is None else "teacher.min_ap"
    remedies = [*([_remedy(measured)] if measured.scale >= APART else []), "look at its config, classes and checkpoint"]
    return (
        f"the teacher must reach AP {100 * floor:.1f} as it teaches ({rule}), but reaches {100 * measured.taught:.1f} on "
        f"{measured.images} training images, and {100 * measured.own:.1f} by its own pipeline; {', or '.join(remedies)}; "
        "teacher.min_ap: 0 trains all the same."
    )


def _remedy(measured: Teaching) -> str:
    return f"teacher.scale: {measured.scale:.3g} would show it its own size"


def _read(path: Path) -> Teaching:
    try:
        stored = json.loads(path.read_bytes())
        if stored.pop("sha256") == digest(stored):
            sizes = {name: (int(stored[name][0]), int(stored[name][1])) for name in ("own_size", "shown_size")}
            return Teaching(**{**stored, **sizes})
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    raise ArtifactError(f"{path} was altered: it has not the content of the sha256 it carries; delete it, it is measured again.")
