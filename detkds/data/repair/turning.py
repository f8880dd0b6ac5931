"""Boxes and masks from the stored frame of a picture into the one that its EXIF orientation makes of it, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as run_lengths

from detkds.data.checking.masks import Size
from detkds.data.checking.values import is_number

Point = tuple[float, float]
Array = NDArray[Any]  # (H, W, ...)

# Where the point (x, y) of a stored picture of w x h goes. EXIF 2.3, tag Orientation: row 0 and column 0 of the stored picture are
# top and left (1), top and right (2), bottom and right (3), bottom and left (4), left and top (5), right and top (6), right and bottom (7),
# left and bottom (8) of the upright one.
_POINTS: Mapping[int, Callable[[float, float, int, int], Point]] = MappingProxyType(
    {
        1: lambda x, y, w, h: (x, y),
        2: lambda x, y, w, h: (w - x, y),
        3: lambda x, y, w, h: (w - x, h - y),
        4: lambda x, y, w, h: (x, h - y),
        5: lambda x, y, w, h: (y, x),
        6: lambda x, y, w, h: (h - y, x),
        7: lambda x, y, w, h: (h - y, w - x),
        8: lambda x, y, w, h: (y, w - x),
    }
)
_ARRAYS: Mapping[int, Callable[[Array], Array]] = MappingProxyType(
    {
        1: lambda array: array,
        2: np.fliplr,
        3: lambda array: np.rot90(array, 2),
        4: np.flipud,
        5: lambda array: array.swapaxes(0, 1),
        6: lambda array: np.rot90(array, -1),
        7: lambda array: np.rot90(array, 2).swapaxes(0, 1),
        8: np.rot90,
    }
)
_BACK = {6: 8, 8: 6}  # all others are their own inverse


def inverse(orientation: int) -> int:
    """The orientation that undoes one."""
    return _BACK.get(orientation, orientation)


def turn_array(array: Array, orientation: int) -> Array:
    """An (H, W, ...) array turned as a reader of EXIF turns it."""
    return _ARRAYS[orientation](array)


def turn_box(box: list[float], size: Size, orientation: int) -> list[float]:
    """[x, y, width, height] turned; `size` is (width, height) of the picture before."""
    x, y, width, height = box
    one, other = (_POINTS[orientation](*corner, *size) for corner in ((x, y), (x + width, y + height)))
    sides = (height, width) if orientation >= 5 else (width, height)  # not by subtraction, which would round
    return [min(one[0], other[0]), min(one[1], other[1]), *sides]


def turn_polygon(polygon: list[float], size: Size, orientation: int) -> list[float]:
    """x, y, x, y, ... turned."""
    points = zip(polygon[::2], polygon[1::2], strict=True)
    return [value for x, y in points for value in _POINTS[orientation](x, y, *size)]


def turn_keypoints(keypoints: Any, size: Size, orientation: int) -> Any:
    """x, y, visibility, x, y, visibility, ... turned; a point that is not labelled (visibility 0) stays at 0, 0. What is not a list of such
    triples comes back as it is."""
    if not isinstance(keypoints, list) or len(keypoints) % 3 or not all(map(is_number, keypoints)):
        return keypoints
    turned: list[float] = []
    for x, y, seen in zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=True):
        turned += [*(_POINTS[orientation](x, y, *size) if seen else (x, y)), seen]
    return turned


def turn_mask(segmentation: Any, size: Size, orientation: int) -> Any:
    """A segmentation of COCO turned: polygons, or run lengths in the form they had; what is not a sound one comes back as it is."""
    if isinstance(segmentation, list):
        sound = all(isinstance(part, list) and len(part) % 2 == 0 and all(map(is_number, part)) for part in segmentation)
        return [turn_polygon(part, size, orientation) for part in segmentation] if sound else segmentation
    if not isinstance(segmentation, dict) or segmentation.get("size") != [size[1], size[0]]:
        return segmentation
    counts = segmentation["counts"]
    code = run_lengths.frPyObjects(segmentation, size[1], size[0]) if isinstance(counts, list) else segmentation
    turned = np.asfortranarray(turn_array(run_lengths.decode(code), orientation))
    shape = [int(side) for side in turned.shape]
    new: Any = _runs(turned) if isinstance(counts, list) else run_lengths.encode(turned)["counts"].decode()
    return {**segmentation, "size": shape, "counts": new}


def _runs(mask: Array) -> list[int]:
    """Run lengths down the columns, the first of zeros."""
    flat = mask.ravel(order="F")
    borders = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], borders, [len(flat)]])).tolist()
    return [0, *runs] if flat[0] else runs
