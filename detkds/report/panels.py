"""Detections beside the ground truth on one image (Figures 8 to 11): which are right, which wrong, and what was missed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from detkds.evaluation.example import Box, Example
from detkds.evaluation.result import Role
from detkds.report.series import title

SHOWN_SCORE, MATCH_IOU, MAX_BOXES, MAX_LABELS = 0.3, 0.5, 60, 10
"""Detections from this score on are shown; one is right where it overlaps an object of its class that much."""
LETTER = 0.6
"""Width of a letter over its height, on average for a bold sans-serif face."""
MAX_PICTURE = 300_000
"""Bytes; a larger picture is left out."""
_TYPES = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png"}


@dataclass(frozen=True)
class Drawn:
    """A box with what became of it: truth, right, wrong or missed."""

    box: Box
    fate: str

    @property
    def path(self) -> str:
        """The box as an SVG path in pixels of the image."""
        x, y, width, height = self.box.box
        return f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"

    @property
    def label(self) -> str:
        """Its class, and the score of a detection."""
        return self.box.label if self.box.score is None else f"{self.box.label} {self.box.score:.2f}"


@dataclass(frozen=True)
class Label:
    """A text on an image: the left end of its base line, and its size, in pixels of the image."""

    text: str
    x: float
    y: float
    width: float
    height: float

    def hides(self, other: Label) -> bool:
        """Whether the two overlap."""
        apart = self.x + self.width <= other.x or other.x + other.width <= self.x
        return not (apart or self.y - self.height >= other.y or other.y - other.height >= self.y)


def _places(drawn: Drawn, size: float, width: float, height: float) -> Iterator[Label]:
    """Where the label of a box may be: above it, inside at its top, below it; within the image as far as its length allows."""
    left, top, _, tall = drawn.box.box
    length = LETTER * size * len(drawn.label)
    x = max(0.0, min(left, width - length))
    for y in (top - size / 4, top + size, top + tall + size):
        yield Label(drawn.label, x, min(max(y, size), height - size / 4), length, size)


@dataclass(frozen=True)
class Panel:
    """One copy of the image: whose boxes it shows, and a sentence about them."""

    title: str
    caption: str
    boxes: tuple[Drawn, ...]

    def labelled(self, size: float, width: float, height: float) -> list[Label]:
        """The labels of the largest boxes, each beside its box where it hides no other label; one without room is left out.

        Args:
            size: of the letters, in pixels of the image.
            width, height: of the image.
        """
        there = [drawn for drawn in self.boxes if drawn.fate != "missed"]
        placed: list[Label] = []
        for drawn in sorted(there, key=lambda drawn: -drawn.box.box[2] * drawn.box.box[3]):
            fitting = (label for label in _places(drawn, size, width, height) if not any(label.hides(other) for other in placed))
            if (label := next(fitting, None)) is not None and len(placed) < MAX_LABELS:
                placed.append(label)
        return placed

    def path(self, fate: str) -> str:
        """All boxes of one fate as one path; all of them for an empty fate."""
        return "".join(drawn.path for drawn in self.boxes if drawn.fate == fate or not fate)


def panels(example: Example) -> list[Panel]:
    """Ground truth, then the two students, or whatever detectors there are."""
    students = [name for name in (Role.STUDENT, Role.DISTILLED) if name in example.detections]
    names = students if len(students) == 2 else list(example.detections)[:3]
    objects = [box for box in example.truth if not box.crowd]
    truth = Panel("ground truth", _counted(len(objects), "object"), tuple(Drawn(box, "truth") for box in example.truth[:MAX_BOXES]))
    return [truth, *(_panel(title(name), example.truth, example.detections[name]) for name in names)]


def data_uri(example: Example) -> str | None:
    """The picture as a data URI; None where there is none, or it is neither JPEG nor PNG, or too large."""
    picture = example.picture or b""
    kind = next((kind for start, kind in _TYPES.items() if picture.startswith(start)), None)
    return None if kind is None or len(picture) > MAX_PICTURE else f"data:image/{kind};base64,{b64encode(picture).decode()}"


def _panel(name: str, truth: Sequence[Box], detections: Sequence[Box]) -> Panel:
    shown = sorted((box for box in detections if (box.score or 0) >= SHOWN_SCORE), key=lambda box: -(box.score or 0))[:MAX_BOXES]
    left = [box for box in truth if not box.crowd]
    crowds = [box for box in truth if box.crowd]
    drawn: list[Drawn] = []
    for box in shown:
        match = max((other for other in left if other.label == box.label), key=lambda other: iou(box, other), default=None)
        if match is not None and iou(box, match) >= MATCH_IOU:
            left = [other for other in left if other is not match]
            drawn.append(Drawn(box, "right"))
        elif not any(other.label == box.label and _inside(box, other) >= MATCH_IOU for other in crowds):
            drawn.append(Drawn(box, "wrong"))
    right, wrong = (sum(one.fate == fate for one in drawn) for fate in ("right", "wrong"))
    caption = f"{right} right, {wrong} wrong, {len(left)} missed"
    return Panel(name, caption, (*drawn, *(Drawn(box, "missed") for box in left[:MAX_BOXES])))


def iou(one: Box, other: Box) -> float:
    """Intersection over union, 0 to 1."""
    shared = _shared(one, other)
    union = one.box[2] * one.box[3] + other.box[2] * other.box[3] - shared
    return shared / union if union > 0 else 0.0


def _inside(box: Box, crowd: Box) -> float:
    """The part of a box that lies in a crowd's box."""
    area = box.box[2] * box.box[3]
    return _shared(box, crowd) / area if area > 0 else 0.0


def _shared(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    (x, y, width, height), (x2, y2, width2, height2) = one.box, other.box
    return max(0.0, min(x + width, x2 + width2) - max(x, x2)) * max(0.0, min(y + height, y2 + height2) - max(y, y2))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
