"""What the four numbers of a set's boxes are, as the boxes themselves show: COCO's, corners, centres; in pixels or in shares of the image.

Exporters mix them up, and each box by itself may pass for one of COCO. Of the whole set only the right reading fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkds.data.checking.faults import Findings
from detkds.data.checking.masks import Size
from detkds.data.checking.rules import OUTSIDE_PX
from detkds.data.checking.values import is_number

Floats = NDArray[np.float64]

READINGS = {
    "sides": "[x, y, width, height]",
    "corners": "[x1, y1, x2, y2]",
    "centres": "[centre x, centre y, width, height]",
    "sides-yx": "[y, x, height, width]",
    "corners-yx": "[y1, x1, y2, x2]",  # as TensorFlow writes them
}
BOXES, IN_SIDES = "boxes", "sides"
"""`info: {"boxes": "sides"}` in a file says that its boxes are [x, y, width, height] in pixels, whatever they look like."""
_DOUBTFUL = 0.95  # below this share of boxes that fit as COCO's, another reading is looked for
_SURE = 0.99  # share of the boxes that the other reading must fit
_FEW = 3  # boxes whose areas are not chance
_LOST = 0.05  # share of boxes wholly outside their images from which on they are of other images, or of none of the readings
_LOST_BOXES = 10  # wholly outside, at least: a few are faults of their own
_LOOKED_AT = 20_000  # boxes, evenly taken from larger sets
_MAX_SHARE = 1.001


def check_readings(document: Mapping[str, Any], sizes: Mapping[int, Size | None], findings: Findings) -> None:
    """Note, once for the whole set, that its boxes are no [x, y, width, height] in pixels."""
    boxes, areas, size = _columns(document["annotations"], sizes)
    if len(boxes) == 0 or (isinstance(info := document.get("info"), dict) and info.get(BOXES) == IN_SIDES):
        return
    total = f"{len(boxes):,} boxes"
    if in_shares(boxes):
        findings.add("annotation.box-reading", f"no number of the {total} is above 1: they are shares of width and height, not pixels")
        return
    fit = {name: fits(sides(boxes, name), size) for name in READINGS}
    if (share := fit["corners"].mean()) >= _SURE and fit["sides"].mean() >= _DOUBTFUL and _areas_say_corners(boxes, areas):
        says = f"{share:.0%} of the {total} fit as {READINGS['corners']}, whose areas are those given"
        findings.add("annotation.box-reading", f"{says}; those of {READINGS['sides']} are not")
    elif fit["sides"].mean() < _DOUBTFUL:
        best = max(list(READINGS)[1:], key=lambda name: fit[name].mean())
        if fit[best].mean() >= _SURE:
            counts = f"{fit[best].sum():,} of the {total} fit as {READINGS[best]}"
            findings.add("annotation.box-reading", f"{counts}, {fit['sides'].sum():,} as {READINGS['sides']}")
        elif (lost := _outside(boxes, size)).mean() > _LOST and lost.sum() >= _LOST_BOXES:
            says = f"{lost.sum():,} of the {total} lie wholly outside their images, as boxes of images of another size would"
            findings.add("annotation.box-reading", f"{says}; correct the source")


def sides(boxes: Floats, reading: str) -> Floats:
    """(N, 4) x, y, width and height of boxes (N, 4) that are of the named reading; others than sides may have negative sides."""
    if reading.endswith("-yx"):
        return sides(boxes[:, [1, 0, 3, 2]], reading.removesuffix("-yx"))
    first, second = boxes[:, :2], boxes[:, 2:]
    if reading == "corners":
        return np.hstack([first, second - first])
    if reading == "centres":
        return np.hstack([first - second / 2, second])
    return boxes


def in_shares(boxes: Floats) -> bool:
    """Whether the numbers are shares of width and height: all from 0 to 1, with sides below 1 for the most part."""
    return bool(len(boxes) and (boxes >= 0).all() and (boxes <= _MAX_SHARE).all() and (boxes[:, 2:] % 1 > 0).mean() > 0.5)


def _columns(entries: list[Any], sizes: Mapping[int, Size | None]) -> tuple[Floats, Floats, Floats]:
    """(N, 4) boxes, (N,) areas (nan where there is none) and (N, 2) width and height of their images, of the entries that have all that."""
    boxes, areas, size = [], [], []
    for entry in entries[:: max(1, len(entries) // _LOOKED_AT)]:
        box, id = (entry.get("bbox"), entry.get("image_id")) if isinstance(entry, dict) else (None, None)
        if isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and type(id) is int and (known := sizes.get(id)):
            boxes.append(box)
            areas.append(entry["area"] if is_number(entry.get("area")) else np.nan)
            size.append(known)
    return (
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(areas, np.float64),
        np.array(size, np.float64).reshape(-1, 2),
    )


def fits(boxes: Floats, size: Floats) -> NDArray[np.bool_]:
    """(N,) which boxes [x, y, width, height] (N, 4) are within images of `size` (N, 2)."""
    corner, extent = boxes[:, :2], boxes[:, 2:]
    inside = (corner >= -OUTSIDE_PX) & (extent >= 0) & (corner + extent <= size + OUTSIDE_PX)
    within: NDArray[np.bool_] = np.logical_and.reduce(inside, axis=1)
    return within


def _outside(boxes: Floats, size: Floats) -> NDArray[np.bool_]:
    """(N,) which boxes [x, y, width, height] (N, 4) have nothing in common with images of `size` (N, 2)."""
    corner, extent = boxes[:, :2], np.maximum(boxes[:, 2:], 0)
    apart: NDArray[np.bool_] = np.logical_or.reduce((corner >= size) | (corner + extent <= 0), axis=1)
    return apart


def _areas_say_corners(boxes: Floats, areas: Floats) -> bool:
    corners = sides(boxes, "corners")
    told = len(boxes) >= _FEW
    as_corners = np.isclose(areas, corners[:, 2] * corners[:, 3], rtol=0.01).mean()
    as_sides = np.isclose(areas, boxes[:, 2] * boxes[:, 3], rtol=0.01).mean()
    return bool(told and as_corners >= _SURE and as_sides <= 0.5)
