"""Polygons as other tools write them, as COCO writes them: a list of lists x, y, x, y, ..."""

from __future__ import annotations

from typing import Any

from detkds.data.checking.values import is_number
from detkds.data.repair.numbers import number

_POINT_KEYS = (("x", "y"), ("X", "Y"))


def coco_polygons(segmentation: Any) -> tuple[list[list[float]], int]:
    """The polygons that a list holds, and how many parts of it are none (fewer than three points, half a point, no numbers).

    Read are: a list of polygons; one flat list of numbers; a list of points. A point is [x, y] or {"x": x, "y": y}, a number may be text.
    """
    whole = _polygon(segmentation)
    if whole:
        return [whole], 0
    parts = [_polygon(part) for part in segmentation]
    found = [part for part in parts if part]
    return found, len(parts) - len(found)


def _polygon(part: Any) -> list[float] | None:
    """One polygon as x, y, x, y, ...; None if `part` is none."""
    if not isinstance(part, list):
        return None
    if any(isinstance(item, (list, dict)) for item in part):
        points = [_point(item) for item in part]
        flat: list[Any] = [value for point in points if point for value in point] if all(points) else []
    else:
        flat = part
    numbers = [number(value) for value in flat]
    sound = len(numbers) >= 6 and len(numbers) % 2 == 0 and all(map(is_number, numbers))
    return [value for value in numbers if value is not None] if sound else None


def _point(item: Any) -> tuple[Any, Any] | None:
    if isinstance(item, list) and len(item) == 2 and not any(isinstance(value, (list, dict)) for value in item):
        return item[0], item[1]
    if isinstance(item, dict):
        return next(((item[x], item[y]) for x, y in _POINT_KEYS if x in item and y in item), None)
    return None
