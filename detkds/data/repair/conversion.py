"""Whole sets converted: boxes of another reading to COCO's, annotations of another frame to the one that detectors read."""

from __future__ import annotations

from typing import Any

import numpy as np

from detkds.data.checking.frames import READ, STATED, Frames
from detkds.data.checking.readings import BOXES, IN_SIDES, READINGS, fits, in_shares, sides
from detkds.data.checking.values import is_number
from detkds.data.repair.draft import Change, Draft, Entry
from detkds.data.repair.turning import inverse, turn_box, turn_keypoints, turn_mask
from detkds.errors import DatasetError

_ENOUGH = 0.9  # share of the boxes that must fit their images after a conversion


def convert(draft: Draft, reading: str) -> None:
    """Boxes that are `reading`, in pixels or in shares of their image, become [x, y, width, height] in pixels.

    Areas that were the product of the last two numbers follow. `info` then says that the boxes are COCO's.

    Raises:
        DatasetError: read so, boxes do not fit their images.
    """
    places = [place for place, entry in enumerate(draft.list("annotation")) if _has_box(entry) and draft.size(entry)]
    boxes = np.array([draft.list("annotation")[place]["bbox"] for place in places], np.float64).reshape(-1, 4)
    size = np.array([draft.size(draft.list("annotation")[place]) for place in places], np.float64).reshape(-1, 2)
    shares = in_shares(boxes)
    lengths = size[:, ::-1] if reading.endswith("-yx") else size
    new = sides(boxes * np.hstack([lengths, lengths]) if shares else boxes, reading)
    if shares or reading != IN_SIDES:
        if (fit := fits(new, size).mean()) < _ENOUGH:
            raise DatasetError(f"read as {READINGS[reading]}, {fit:.0%} of the boxes fit their images; name another reading with --boxes.")
        for place, box in zip(places, new.tolist(), strict=True):
            _set_box(draft.editable("annotation", place), box)
            id, origin = draft.list("annotation")[place].get("id"), draft.origins["annotation"][place]
            draft.changes.append(Change("annotation.box-reading", f"converted from {READINGS[reading]}", id, origin))
    else:
        draft.changes.append(Change("annotation.box-reading", f"kept as {READINGS[reading]}"))
    _state(draft, BOXES, IN_SIDES)


def turn(draft: Draft, frames: Frames, named: str | None) -> None:
    """Sizes and annotations of the pictures in `frames` come into the frame that detectors read. `info` then says that they are.

    Args:
        named: stored or upright, the frame they are in; None where `frames` knows it.
    """
    for place, image in enumerate(draft.list("image")):
        picture = frames.pictures.get(image["id"]) if isinstance(image, dict) and type(image.get("id")) is int else None
        if picture is None:
            continue
        read = frames.of == "read" if named is None else (named == "upright") == picture.turned
        draft.editable("image", place).update(zip(("width", "height"), picture.size, strict=True))
        if not read:
            orientation = picture.orientation if picture.turned else inverse(picture.orientation)
            _turn_annotations(draft, image["id"], picture.other_size, orientation)
        done = "size written as detectors read it" if read else "annotations turned into the frame that detectors read"
        draft.changes.append(Change("image.exif", done, image["id"], draft.origins["image"][place]))
    _state(draft, STATED, READ)


def _turn_annotations(draft: Draft, image: int, size: tuple[int, int], orientation: int) -> None:
    for place, entry in draft.annotations_of(image):
        entry = draft.editable("annotation", place)
        if _has_box(entry):
            entry["bbox"] = turn_box(entry["bbox"], size, orientation)
        if "segmentation" in entry:
            entry["segmentation"] = turn_mask(entry["segmentation"], size, orientation)
        if "keypoints" in entry:
            entry["keypoints"] = turn_keypoints(entry["keypoints"], size, orientation)


def _set_box(entry: Entry, box: list[float]) -> None:
    before = entry["bbox"]
    if is_number(entry.get("area")) and np.isclose(entry["area"], before[2] * before[3], rtol=0.01):
        entry["area"] = box[2] * box[3]
    entry["bbox"] = box


def _has_box(entry: Any) -> bool:
    box = entry.get("bbox") if isinstance(entry, dict) else None
    return isinstance(box, list) and len(box) == 4 and all(map(is_number, box))


def _state(draft: Draft, key: str, value: str) -> None:
    info = draft.document.get("info")
    draft.document["info"] = {**(info if isinstance(info, dict) else {}), key: value}
