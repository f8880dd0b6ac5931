"""The annotation entries of a COCO file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from detkds.data import masks
from detkds.data.entries import identified
from detkds.data.faults import OUTSIDE_PX, Findings, is_id, is_number, shown
from detkds.data.masks import Breach, Size

# area and iscrowd are required because pycocotools and mmdet read them without asking.
KEYS = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")


def check_annotations(entries: list[Any], sizes: Mapping[int, Size | None], categories: Collection[int], findings: Findings) -> None:
    """Note the faults of `annotations`.

    Args:
        sizes: (width, height) of each known image, None where it is at fault.
        categories: the known category ids.
    """
    for entry, id in identified("annotation", entries, KEYS, findings):
        image, category = entry["image_id"], entry["category_id"]
        if not is_id(image) or image not in sizes:
            findings.add("annotation.image-unknown", f"no image {shown(image)}", id)
        if not is_id(category) or category not in categories:
            findings.add("annotation.category-unknown", f"no category {shown(category)}", id)
        size = sizes.get(image) if is_id(image) else None
        for rule, detail in _breaches(entry, size):
            findings.add(rule, detail, id)


def _breaches(entry: dict[str, Any], size: Size | None) -> Iterator[Breach]:
    yield from _box(entry["bbox"], size)
    area, crowd = entry["area"], entry["iscrowd"]
    if not is_number(area) or area < 0:
        yield "annotation.area", f"area is {shown(area)}"
    if type(crowd) is not int or crowd not in (0, 1):
        yield "annotation.iscrowd", f"iscrowd is {shown(crowd)}"
    if "segmentation" in entry:
        yield from masks.breaches(entry["segmentation"], size)


def _box(box: Any, size: Size | None) -> Iterator[Breach]:
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        yield "annotation.box", f"bbox is {shown(box)}"
        return
    x, y, width, height = box
    if width < 0 or height < 0:
        yield "annotation.box-negative", f"bbox is {shown(box)}"
        return
    empty = width == 0 or height == 0
    if empty:
        yield "annotation.box-empty", f"bbox is {shown(box)}"
    if size is None:
        return
    over = max(-x, x + width - size[0], -y, y + height - size[1])
    apart = min(x + width, size[0]) <= max(x, 0) or min(y + height, size[1]) <= max(y, 0)
    if over > OUTSIDE_PX or (apart and not empty):
        yield "annotation.box-outside", f"bbox {shown(box)} in an image of {size[0]} x {size[1]}"
