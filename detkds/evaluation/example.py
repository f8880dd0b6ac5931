"""Images on which detectors differ, as an evaluation says it; the names are those of the JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detkds.reading import flag, integer, mapping, number, sequence, text


@dataclass(frozen=True)
class Box:
    """An object or a detection: x, y, width and height in pixels of the original image."""

    box: tuple[float, float, float, float]
    label: str
    score: float | None = None
    crowd: bool = False

    @classmethod
    def read(cls, data: Any) -> Box:
        """From JSON, where the label is called class."""
        x, y, width, height = (number(value, finite=True) for value in sequence(data["box"]))
        score = data["score"]
        return cls((x, y, width, height), text(data["class"]), None if score is None else number(score), flag(data["crowd"]))

    def to_json(self) -> dict[str, Any]:
        """As it was read."""
        return {"box": list(self.box), "class": self.label, "score": self.score, "crowd": self.crowd}


@dataclass(frozen=True)
class Example:
    """An image on which two detectors differ, `width` and `height` of the original in pixels; `picture` is a small JPEG or PNG of it."""

    image_id: int
    file: str
    width: int
    height: int
    score: float
    truth: tuple[Box, ...]
    detections: Mapping[str, tuple[Box, ...]]
    picture: bytes | None = None

    @classmethod
    def read(cls, data: Any) -> Example:
        """From JSON, without the picture."""
        detections = {text(name): tuple(map(Box.read, sequence(boxes))) for name, boxes in mapping(data["detections"]).items()}
        width, height = integer(data["width"]), integer(data["height"])
        if min(width, height) < 1:
            raise ValueError(f"an image has at least one pixel, got {width} x {height}")
        truth = tuple(map(Box.read, sequence(data["truth"])))
        return cls(integer(data["image_id"]), text(data["file"]), width, height, number(data["score"]), truth, detections)
