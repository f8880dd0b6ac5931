"""Boxes and polygons cut off at the borders of their image."""

from __future__ import annotations

from collections.abc import Iterator

from detkds.data.checking.masks import Size

Point = tuple[float, float]


def clip_box(box: list[float], size: Size) -> list[float] | None:
    """The part of [x, y, width, height] within an image of `size`, None where there is none; sides that stay keep their numbers."""
    x, y, width, height = box
    left, right = max(x, 0), min(x + width, size[0])
    top, bottom = max(y, 0), min(y + height, size[1])
    if right <= left or bottom <= top:
        return None
    wide = width if (left, right) == (x, x + width) else right - left
    high = height if (top, bottom) == (y, y + height) else bottom - top
    return [left, top, wide, high]


def clip_polygon(polygon: list[float], size: Size) -> list[float] | None:
    """The part of a polygon x, y, x, y, ... within an image; None where nothing with an area is left.

    Sutherland and Hodgman, "Reentrant polygon clipping", 1974: the polygon is cut at one border after the other. Parts of a hollow polygon
    stay joined along the border, which does not change what they cover.
    """
    points: list[Point] = list(zip(polygon[::2], polygon[1::2], strict=True))
    for axis, bound, sign in ((0, 0, 1), (0, size[0], -1), (1, 0, 1), (1, size[1], -1)):
        points = list(_cut(points, axis, bound, sign))
    return [coordinate for point in points for coordinate in point] if len(points) >= 3 and _area(points) > 0 else None


def _cut(points: list[Point], axis: int, bound: float, sign: int) -> Iterator[Point]:
    """The corners of the part of a polygon where sign * coordinate >= sign * bound."""
    for here, there in zip(points, points[1:] + points[:1], strict=True):
        inside = sign * (here[axis] - bound) >= 0
        if inside:
            yield here
        if inside != (sign * (there[axis] - bound) >= 0):
            share = (bound - here[axis]) / (there[axis] - here[axis])
            across = here[1 - axis] + share * (there[1 - axis] - here[1 - axis])
            yield (bound, across) if axis == 0 else (across, bound)


def _area(points: list[Point]) -> float:
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True))) / 2
