"""Plot: axes and marks as SVG paths, which the page's template writes out; colours, lines and fills are the style sheet's by class."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Point = tuple[float, float]
Shape = Literal["dot", "cross", "triangle", "square", "diamond"]

SHAPES: dict[str, str] = {
    "dot": "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
    "cross": "m-3-3l6 6m0-6l-6 6",
    "triangle": "m-4-3h8l-4 7z",
    "square": "m-3.5-3.5h7v7h-7z",
    "diamond": "m0-5l5 5l-5 5l-5-5z",
}
"""Markers as paths about the point where they begin."""
TITLE = 16
"""Room above a plot for the title of its y axis."""


@dataclass(frozen=True)
class Axis:
    """A scale from low to high with labelled ticks.

    Args:
        low, high: its ends; low lies left or below.
        ticks: (value, label).
        title: is placed beside it.
        grid: draw a line through the plot at each tick.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    title: str = ""
    grid: bool = True

    def at(self, value: float, start: float, end: float) -> float:
        """Where between start and end a value lies."""
        return start + (value - self.low) / (self.high - self.low) * (end - start)


def linear(low: float, high: float, title: str = "", *, steps: int = 5, grid: bool = True) -> Axis:
    """An axis with about `steps` round ticks; ends that are equal are moved apart."""
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    size = 10 ** math.floor(math.log10((high - low) / steps))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor * steps >= high - low)
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if step / size == 2.5 and step < 10 else 0)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = tuple((place * step, f"{place * step:.{digits}f}".replace("-", "−")) for place in range(first, last + 1))
    return Axis(low, high, ticks, title, grid)


def categories(names: Sequence[str], title: str = "") -> Axis:
    """An axis with a place for each name: 0, 1, …, the first at the low end."""
    return Axis(-0.5, max(1, len(names)) - 0.5, tuple((place, name) for place, name in enumerate(names)), title, grid=False)


@dataclass(frozen=True)
class Mark:
    """A path with its classes, and the text that a pointer over it shows; empty: none."""

    look: str
    path: str
    label: str = ""


@dataclass(frozen=True)
class Note:
    """A text in the plot, its classes and its anchor: start, middle or end."""

    look: str
    x: float
    y: float
    text: str
    anchor: str


class Plot:
    """A drawing of `width` by `height` units, about the pixels that it has on a phone.

    Args:
        label: what it shows, for those who cannot see it.
        x, y: the axes.
        left, bottom, right, top: margins for ticks and titles.
    """

    def __init__(
        self,
        label: str,
        x: Axis,
        y: Axis,
        *,
        width: float = 380,
        height: float = 240,
        left: float = 40,
        bottom: float = 40,
        right: float = 12,
        top: float = 12,
    ) -> None:
        self.label, self.x, self.y, self.width, self.height = label, x, y, width, height
        self.left, self.bottom, self.right, self.top = left, height - bottom, width - right, top + TITLE * bool(y.title)
        self.marks: list[Mark] = []
        self.notes: list[Note] = []

    def px(self, value: float) -> float:
        """Where a value of x lies."""
        return round(self.x.at(value, self.left, self.right), 1)

    def py(self, value: float) -> float:
        """Where a value of y lies."""
        return round(self.y.at(value, self.bottom, self.top), 1)

    @property
    def grid(self) -> str:
        """The path of the grid's lines."""
        upright = [f"M{self.px(value):g} {self.top:g}V{self.bottom:g}" for value, _ in self.x.ticks] if self.x.grid else []
        level = [f"M{self.left:g} {self.py(value):g}H{self.right:g}" for value, _ in self.y.ticks] if self.y.grid else []
        return "".join(upright + level)

    def mark(self, look: str, path: str, label: str = "") -> None:
        """Add a path, unless it is empty."""
        if path:
            self.marks.append(Mark(look, path, label))

    def line(self, points: Iterable[Point], look: str) -> None:
        """A line through points; it is broken where a value is not finite."""
        self.mark(f"line {look}", self._polyline(points))

    def steps(self, points: Sequence[Point], look: str) -> None:
        """A line that keeps its height until the next point."""
        corners = [corner for (x, y), (after, _) in pairwise(points) for corner in ((x, y), (after, y))]
        self.line([*corners, *points[-1:]], look)

    def area(self, upper: Sequence[Point], lower: Sequence[Point], look: str) -> None:
        """The area between two lines."""
        path = self._polyline([*upper, *reversed(lower)])
        self.mark(f"area {look}", path + "z" if path else "")

    def bar(self, x: Point, y: Point, look: str, label: str = "") -> None:
        """A rectangle between two values of each axis; none where one is not finite."""
        if all(map(math.isfinite, (*x, *y))):
            left, right, low, high = self.px(x[0]), self.px(x[1]), self.py(y[0]), self.py(y[1])
            self.mark(f"bar {look}", f"M{left:g} {low:g}V{high:g}H{right:g}V{low:g}z", label)

    def dots(self, points: Iterable[Point], look: str, shape: Shape = "dot", labels: Sequence[str] = ()) -> None:
        """A marker at each finite point; with `labels`, one per point, a pointer over a marker shows its text."""
        all_points = list(points)
        texts = labels or [""] * len(all_points)
        drawn = [
            (f"M{self.px(x):g} {self.py(y):g}{SHAPES[shape]}", text)
            for (x, y), text in zip(all_points, texts, strict=True)
            if math.isfinite(x) and math.isfinite(y)
        ]
        if labels:
            for path, text in drawn:
                self.mark(f"dots {shape} {look}", path, text)
        else:  # one path for all of them keeps the page small
            self.mark(f"dots {shape} {look}", "".join(path for path, _ in drawn))

    def write(self, point: Point, text: str, look: str = "", *, anchor: str = "middle", dx: float = 0, dy: float = 0) -> None:
        """A text at a point, moved by (dx, dy)."""
        if math.isfinite(point[0]) and math.isfinite(point[1]):
            self.notes.append(Note(look, round(self.px(point[0]) + dx, 1), round(self.py(point[1]) + dy, 1), text, anchor))

    def _polyline(self, points: Iterable[Point]) -> str:
        pieces, pen = [], "M"
        for x, y in points:
            if math.isfinite(x) and math.isfinite(y):
                pieces.append(f"{pen}{self.px(x):g} {self.py(y):g}")
                pen = "L"
            else:
                pen = "M"
        return "".join(pieces)
