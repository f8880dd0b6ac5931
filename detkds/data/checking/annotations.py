"""The annotation entries of a COCO file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from detkds.data.checking import masks
from detkds.data.checking.columns import suspects
from detkds.data.checking.entries import usable_id
from detkds.data.checking.faults import Fault, Findings
from detkds.data.checking.masks import Breach, Size
from detkds.data.checking.repeats import repeated, twice
from detkds.data.checking.rules import OUTSIDE_PX
from detkds.data.checking.values import is_id, is_number, shown

THIN_PX = 1.0  # mmdet trains on no box below that, nor on an object whose area is 0
AREA_SLACK = 1.01


def check_annotations(entries: list[Any], sizes: Mapping[int, Size | None], categories: Collection[int], findings: Findings) -> None:
    """Note the faults of `annotations`, in their order.

    Args:
        sizes: (width, height) of each known image, None where it is at fault.
        categories: the known category ids.
    """
    before = len(findings.faults)
    for place in suspects(entries, sizes, categories):
        judge(place, entries[place], sizes, categories, findings)
    for place in twice(entries):
        findings.add("annotation.id-duplicate", f"entry {place} has the id of an earlier one", entries[place]["id"], place)
    for place, first in repeated(entries):
        other = entries[first]["id"]
        findings.add("annotation.repeated", f"the same image, category and box as annotation {other}", entries[place]["id"], place)
    findings.faults[before:] = sorted(findings.faults[before:], key=_place)


def judge(place: int, entry: Any, sizes: Mapping[int, Size | None], categories: Collection[int], findings: Findings) -> None:
    """Note the faults that one entry has by itself."""
    id = usable_id("annotation", place, entry, findings)
    if id is None:
        return
    image, category = entry["image_id"], entry["category_id"]
    if not is_id(image) or image not in sizes:
        findings.add("annotation.image-unknown", f"no image {shown(image)}", id, place)
    if not is_id(category) or category not in categories:
        findings.add("annotation.category-unknown", f"no category {shown(category)}", id, place)
    size = sizes.get(image) if is_id(image) else None
    for rule, detail in _breaches(entry, size):
        findings.add(rule, detail, id, place)


def _place(fault: Fault) -> int:
    return -1 if fault.place is None else fault.place


def _breaches(entry: dict[str, Any], size: Size | None) -> Iterator[Breach]:
    box, area, crowd = entry["bbox"], entry["area"], entry["iscrowd"]
    yield from _box(box, size)
    if not is_number(area) or area < 0:
        yield "annotation.area", f"area is {shown(area)}"
    elif _is_box(box) and not (0 < area <= max(AREA_SLACK * box[2] * box[3], box[2] * box[3] + 1)) and min(box[2:]) > 0:
        yield "annotation.area-box", f"area is {shown(area)} with bbox {shown(box)}"
    if type(crowd) is not int or crowd not in (0, 1):
        yield "annotation.iscrowd", f"iscrowd is {shown(crowd)}"
    if "segmentation" in entry:
        yield from masks.breaches(entry["segmentation"], size)


def _is_box(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(map(is_number, box))


def _box(box: Any, size: Size | None) -> Iterator[Breach]:
    if not _is_box(box):
        yield "annotation.box", f"bbox is {shown(box)}"
        return
    x, y, width, height = box
    if width < 0 or height < 0:
        yield "annotation.box-negative", f"bbox is {shown(box)}"
        return
    empty = width == 0 or height == 0
    if empty:
        yield "annotation.box-empty", f"bbox is {shown(box)}"
    elif width < THIN_PX or height < THIN_PX:
        yield "annotation.box-thin", f"bbox is {shown(box)}"
    if size is None:
        return
    over = max(-x, x + width - size[0], -y, y + height - size[1])
    apart = min(x + width, size[0]) <= max(x, 0) or min(y + height, size[1]) <= max(y, 0)
    if over > OUTSIDE_PX or (apart and not empty):
        yield "annotation.box-outside", f"bbox {shown(box)} in an image of {size[0]} x {size[1]}"
