"""Loss curves of the trainings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from detkds.reading import integer, number, sequence, text

MOST = 300
"""Points that a curve keeps; more would not be visible."""


@dataclass(frozen=True)
class LossCurve:
    """One training's loss: `points` are (step, sum of all losses)."""

    name: str
    points: tuple[tuple[int, float], ...]

    @classmethod
    def read(cls, data: Any) -> LossCurve:
        """From results.json."""
        return cls(text(data["name"]), tuple((integer(step), number(loss)) for step, loss in map(sequence, sequence(data["points"]))))

    def to_json(self) -> dict[str, Any]:
        """As `read` takes it."""
        return {"name": self.name, "points": [list(point) for point in self.points]}


def read_log(name: str, lines: Iterable[str]) -> LossCurve:
    """The curve of a training.jsonl: one JSON object per line with `step` and `loss`, the sum of all losses. Lines that are torn, or whose
    loss is not finite, are passed over."""
    points: list[tuple[int, float]] = []
    for line in lines:
        try:
            entry = json.loads(line)
            step, loss = int(entry["step"]), float(entry["loss"])
        except (ValueError, KeyError, TypeError):
            continue
        if math.isfinite(loss):
            points.append((step, loss))
    return LossCurve(name, tuple(points[:: max(1, math.ceil(len(points) / MOST))]))
