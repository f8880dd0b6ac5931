"""What one detector is and reaches, as an evaluation says it; the names are those of the JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from detkds.reading import integer, mapping, member, number, numbers, sequence, text


@dataclass(frozen=True)
class Cost:
    """What a detector costs: FLOPs of one image of size `input` (height, width), milliseconds by name (median, low, high) on `device`."""

    parameters: int
    flops: int | None
    latency_ms: Mapping[str, float]
    device: str
    input: tuple[int, ...]

    @classmethod
    def read(cls, data: Any) -> Cost:
        """From JSON."""
        flops = data["flops"]
        return cls(
            integer(data["parameters"]),
            None if flops is None else integer(flops),
            numbers(data["latency_ms"]),
            text(data["device"]),
            tuple(map(integer, sequence(data["input"]))),
        )


@dataclass(frozen=True)
class Confusion:
    """How often the objects of a class (row) were detected as a class (column); the last of both is "background"."""

    labels: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    iou: float
    score: float

    @classmethod
    def read(cls, data: Any) -> Confusion:
        """From JSON."""
        labels = tuple(map(text, sequence(data["labels"])))
        matrix = tuple(tuple(map(integer, sequence(row))) for row in sequence(data["matrix"]))
        if {len(labels)} != {len(matrix), *map(len, matrix)}:
            raise ValueError(f"a confusion matrix of {len(labels)} labels is square")
        return cls(labels, matrix, number(data["iou"]), number(data["score"]))


@dataclass(frozen=True)
class Interval:
    """Confidence intervals by figure, at a level such as .95."""

    level: float
    bounds: Mapping[str, tuple[float, float]]

    @classmethod
    def read(cls, data: Any) -> Interval:
        """From JSON, where the level stands among the figures."""
        figures = {text(name): sequence(value) for name, value in mapping(data).items() if name != "level"}
        return cls(number(data["level"]), {name: (number(low), number(high)) for name, (low, high) in figures.items()})

    def to_json(self) -> dict[str, Any]:
        """As it was read."""
        return {**{name: list(bounds) for name, bounds in self.bounds.items()}, "level": self.level}

    def of(self, figure: str) -> tuple[float, float] | None:
        """The bounds of a figure where they are known."""
        bounds = self.bounds.get(figure)
        return bounds if bounds and all(map(math.isfinite, bounds)) else None


@dataclass(frozen=True)
class Scores:
    """What one detector reaches with boxes, or with masks.

    Args:
        figures: the 12 of COCO.
        per_class: class to AP figures and `objects`, their number.
        curves: IoU threshold to mean precision at recall 0, .01 … 1.
        error_curves: C75, C50, Loc, Sim, Oth, BG, FN to such a curve: what it would be without that kind of error (Figure 7).
        tide: kind of error to the AP at IoU .5 that it costs (Figure 6).
        confusion: None where it was not measured.
        interval: None where it was not measured.
    """

    figures: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    error_curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    tide: Mapping[str, float] = field(default_factory=dict)
    confusion: Confusion | None = None
    interval: Interval | None = None

    @classmethod
    def read(cls, data: Any) -> Scores:
        """From JSON; only `figures` must be there."""
        confusion, interval = data.get("confusion"), data.get("interval")
        return cls(
            numbers(data["figures"]),
            {text(name): numbers(values) for name, values in mapping(data.get("per_class", {})).items()},
            _curves(data.get("curves", {})),
            _curves(data.get("error_curves", {})),
            numbers(data.get("tide", {})),
            None if confusion is None else Confusion.read(confusion),
            None if interval is None else Interval.read(interval),
        )


@dataclass(frozen=True)
class Detector:
    """What a detector is and reaches, by kind: bbox, and segm where it predicts masks."""

    kinds: Mapping[str, Scores]
    description: str = ""
    cost: Cost | None = None

    @classmethod
    def read(cls, data: Any) -> Detector:
        """From JSON."""
        kinds = {member(kind, ("bbox", "segm")): Scores.read(value) for kind, value in mapping(data["kinds"]).items()}
        cost = data.get("cost")
        return cls(kinds, text(data.get("description", "")), None if cost is None else Cost.read(cost))


def _curves(data: Any) -> dict[str, tuple[float, ...]]:
    return {text(name): tuple(map(number, sequence(curve))) for name, curve in mapping(data).items()}
