"""What an analysis says about detectors, as plain values: schema "detkds.evaluation/2"."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Curve = tuple[float, ...]
"""Precision in [0, 1] at the 101 recalls 0, .01 … 1; nan throughout where there is no ground truth."""


@dataclass(frozen=True, slots=True)
class ClassResult:
    """One class: AP, AP50, AP75, APs, APm and APl in [0, 1], nan where it has no object (of that size), and how many objects it has."""

    figures: dict[str, float]
    objects: int

    def to_json(self) -> dict[str, Any]:
        return {**or_nulls(self.figures), "objects": self.objects}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ClassResult:
        return cls(or_nans({name: value for name, value in data.items() if name != "objects"}), int(data["objects"]))


@dataclass(frozen=True, slots=True)
class Confusion:
    """How objects (rows) were taken (columns): square, the last row and column are "background"; see `confusion.confusion`."""

    labels: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    iou: float
    score: float

    def to_json(self) -> dict[str, Any]:
        return {"labels": list(self.labels), "matrix": [list(row) for row in self.matrix], "iou": self.iou, "score": self.score}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Confusion:
        return cls(tuple(data["labels"]), tuple(tuple(map(int, row)) for row in data["matrix"]), data["iou"], data["score"])


@dataclass(frozen=True, slots=True)
class Interval:
    """Figure name to (low, high) of its confidence interval at `level`, by bootstrap over images; nan where there is no ground truth."""

    figures: dict[str, tuple[float, float]]
    level: float

    def to_json(self) -> dict[str, Any]:
        return {name: [or_null(low), or_null(high)] for name, (low, high) in self.figures.items()} | {"level": self.level}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Interval:
        return cls({name: (or_nan(ends[0]), or_nan(ends[1])) for name, ends in data.items() if name != "level"}, float(data["level"]))


@dataclass(frozen=True, slots=True)
class Result:
    """Everything about one detector and one kind of IoU.

    Args:
        figures: the 12 FIGURES in [0, 1].
        per_class: class name to its figures, in the order of the categories.
        curves: "0.50" and "0.75" to the mean of the classes' precision-recall curves.
        error_curves: C75, C50, Loc, Sim, Oth, BG and FN (the paper's Figure 7), see `error_curves.error_curves`.
        tide: Cls, Loc, Both, Dupe, Bkg, Miss, FalsePos and FalseNeg (Figure 6): the AP at IoU .5 that mending this error alone would
            add, in [0, 1], see `tide.tide`; nan where there is neither object nor detection.
        confusion: which class was taken for which.
        interval: how sure AP and AP50 are.
    """

    figures: dict[str, float]
    per_class: dict[str, ClassResult]
    curves: dict[str, Curve]
    error_curves: dict[str, Curve]
    tide: dict[str, float]
    confusion: Confusion
    interval: Interval

    def to_json(self) -> dict[str, Any]:
        return {
            "figures": or_nulls(self.figures),
            "per_class": {name: result.to_json() for name, result in self.per_class.items()},
            "curves": {name: [or_null(value) for value in curve] for name, curve in self.curves.items()},
            "error_curves": {name: [or_null(value) for value in curve] for name, curve in self.error_curves.items()},
            "tide": or_nulls(self.tide),
            "confusion": self.confusion.to_json(),
            "interval": self.interval.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        return cls(
            or_nans(data["figures"]),
            {name: ClassResult.from_json(value) for name, value in data["per_class"].items()},
            {name: tuple(map(or_nan, curve)) for name, curve in data["curves"].items()},
            {name: tuple(map(or_nan, curve)) for name, curve in data["error_curves"].items()},
            or_nans(data["tide"]),
            Confusion.from_json(data["confusion"]),
            Interval.from_json(data["interval"]),
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """What a detector costs to run.

    Args:
        parameters: how many numbers it learnt.
        flops: floating point operations of one image; None where they could not be counted.
        latency_ms: median, low and high milliseconds of one image.
        device: where the latency was measured, for people.
        input: height and width of the network's input in pixels.
    """

    parameters: int
    flops: int | None
    latency_ms: dict[str, float]
    device: str
    input: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        values = {"parameters": self.parameters, "flops": self.flops, "latency_ms": dict(self.latency_ms)}
        return {**values, "device": self.device, "input": list(self.input)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cost:
        height, width = data["input"]
        return cls(data["parameters"], data["flops"], dict(data["latency_ms"]), data["device"], (height, width))


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector: what it is, what it costs (None: not measured) and what it reaches by kind, "bbox" or "segm"."""

    kinds: dict[str, Result]
    description: str = ""
    cost: Cost | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "description": self.description,
            "cost": self.cost.to_json() if self.cost else None,
            "kinds": {kind: result.to_json() for kind, result in self.kinds.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Detector:
        kinds = {kind: Result.from_json(result) for kind, result in data["kinds"].items()}
        return cls(kinds, data["description"], Cost.from_json(data["cost"]) if data["cost"] else None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two detectors on the same images: `difference` = a − b of `figure`, its interval at `level` and two-sided p; see `bootstrap`."""

    a: str
    b: str
    kind: str
    figure: str
    difference: float
    low: float
    high: float
    level: float
    p: float
    samples: int

    def to_json(self) -> dict[str, Any]:
        values = {name: or_null(getattr(self, name)) for name in ("difference", "low", "high", "p")}
        return {"a": self.a, "b": self.b, "kind": self.kind, "figure": self.figure, **values, "level": self.level, "samples": self.samples}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        return cls(**(dict(data) | {name: or_nan(data[name]) for name in ("difference", "low", "high", "p")}))


@dataclass(frozen=True, slots=True)
class Box:
    """One object or detection: x, y, width and height in pixels of the original image; an object has no score."""

    box: tuple[float, float, float, float]
    name: str
    score: float | None = None
    crowd: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"box": list(self.box), "class": self.name, "score": self.score, "crowd": self.crowd}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Box:
        x, y, width, height = data["box"]
        return cls((x, y, width, height), data["class"], data["score"], data["crowd"])


@dataclass(frozen=True, slots=True)
class Example:
    """An image on which detectors differ: `file` is the picture's path in the artifact, width and height those of the original."""

    image_id: int
    file: str
    width: int
    height: int
    score: float
    truth: tuple[Box, ...]
    detections: dict[str, tuple[Box, ...]]

    def to_json(self) -> dict[str, Any]:
        values = {"image_id": self.image_id, "file": self.file, "width": self.width, "height": self.height, "score": self.score}
        detections = {name: _boxes_to_json(boxes) for name, boxes in self.detections.items()}
        return {**values, "truth": _boxes_to_json(self.truth), "detections": detections}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Example:
        detections = {name: _boxes_from_json(boxes) for name, boxes in data["detections"].items()}
        place = (data["image_id"], data["file"], data["width"], data["height"], data["score"])
        return cls(*place, _boxes_from_json(data["truth"]), detections)


def _boxes_to_json(boxes: Sequence[Box]) -> list[dict[str, Any]]:
    return [box.to_json() for box in boxes]


def _boxes_from_json(boxes: Sequence[Mapping[str, Any]]) -> tuple[Box, ...]:
    return tuple(map(Box.from_json, boxes))


def or_null(value: float) -> float | None:
    """JSON knows no nan."""
    return None if math.isnan(value) else value


def or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def or_nulls(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: or_null(value) for name, value in values.items()}


def or_nans(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: or_nan(value) for name, value in values.items()}
