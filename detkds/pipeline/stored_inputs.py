"""What a run names in the store, looked at before anything asks for a GPU, and without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from detkds.data.coco import load
from detkds.errors import DetKDSError
from detkds.pipeline.checkpoint_shapes import Described, describe
from detkds.pipeline.data_set import data_set
from detkds.pipeline.known_heads import other_count
from detkds.pipeline.subset import require_same_classes
from detkds.pipeline.values import Values
from detkds.pipeline.workplace import local
from detkds.storage.uri import is_s3, open_store, split

LOOK_BYTES = 64 << 20
"""Annotation files of more bytes are left to the next task, which reads them anyway and asks for no GPU either."""
FEW = 5


def faults(values: Values) -> list[str]:
    """Everything that is wrong with what the values name, one line per fault."""
    if lost := list(_lost(values)):
        return lost
    found = [*_configs(values)]
    data = _data(values, found)
    classes = tuple(str(category["name"]) for category in data["categories"]) if data else ()
    for role, address in (("teacher", values.teacher_checkpoint), ("student", values.student_checkpoint)):
        if not address:
            continue
        try:
            found += _of_checkpoint(f"the {role} checkpoint {address}", describe(local(address)), classes)
        except (DetKDSError, OSError) as error:
            found.append(f"{role}: {error}")
    return found


def _lost(values: Values) -> Iterator[str]:
    """Objects of the store that the run reads and that do not exist."""
    addresses = {
        "dataset": [f"{values.dataset}/{name}" for name in (values.train_annotations, values.test_annotations)],
        "teacher_config": [values.teacher_config],
        "teacher_checkpoint": [values.teacher_checkpoint],
        "student_config": [values.student_config],
        "settings.student.checkpoint": [values.student_checkpoint],
    }
    for name, places in addresses.items():
        for address in filter(is_s3, places):
            if _size(address) is None:
                yield f"{name}: {address} does not exist; correct the address, or put the file there"


def _size(address: str) -> int | None:
    bucket, key = split(address)
    found = open_store(f"s3://{bucket}").stat(key)
    return None if found is None else found.size


def _configs(values: Values) -> Iterator[str]:
    """Configs in the store are data files: JSON with a model."""
    for name in ("teacher_config", "student_config"):
        address = getattr(values, name)
        if is_s3(address) and address.endswith(".json"):
            try:
                content = json.loads(Path(local(address)).read_bytes())
            except ValueError:
                content = None
            yield from _of_others(content)
            if not isinstance(content, dict) or "model" not in content:
                yield f"{name}: {address} is not a config as detkds submit stores it: JSON with the key model; give another address"


def _of_others(content: Any) -> Iterator[str]:
    """What is wrong with the checkpoints of the teachers that a teacher's config names beside it."""
    asked = content.get("as_teacher") if isinstance(content, dict) else None
    for number, other in enumerate((asked or {}).get("others", ())):
        address = other["checkpoint"]
        if is_s3(address) and _size(address) is None:
            yield f"teacher.others.{number}: {address} does not exist; correct the address, or put the file there"
            continue
        try:
            describe(local(address))
        except (DetKDSError, OSError) as error:
            yield f"teacher.others.{number}: {error}"


def _data(values: Values, found: list[str]) -> dict[str, Any] | None:
    """The training annotations of a set in a store, both files checked; None where they are not looked at or have faults."""
    source = values.source
    files = {source.train_annotations: source.train_images, source.test_annotations: source.test_images}
    if not is_s3(source.root) or sum(_size(f"{source.root}/{name}") or 0 for name in files) > LOOK_BYTES:
        return None
    place, parts = data_set(source.root), []
    for name, folder in files.items():
        try:
            parts.append(load(place.annotations(name), place.in_place(folder)))
            place.state(folder, [image["file_name"] for image in parts[-1]["images"]])
        except DetKDSError as error:
            found.append(str(error))
    try:
        if len(parts) == len(files) == 2:
            require_same_classes(source, parts[0], parts[1])
            return parts[0]
    except DetKDSError as error:
        found.append(str(error))
    return None


def _of_checkpoint(what: str, held: Described, classes: Sequence[str]) -> Iterator[str]:
    """Whether a whole detector's weights are of the data's classes; a backbone has none."""
    if not classes or not held.is_whole:
        return
    if (count := other_count(held.shapes, len(classes))) is not None:
        yield f"{what} distinguishes {count} classes, the data set has {len(classes)}; give weights trained on its {len(classes)}"
    elif held.classes and len(held.classes) == len(classes) and sorted(held.classes) != sorted(classes):
        theirs = [name for name in held.classes if name not in classes]
        listed = ", ".join(theirs[:FEW])
        yield f"{what} was trained for classes that the data set has not, such as {listed}; name the categories as the checkpoint does"
