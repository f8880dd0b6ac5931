"""Leaderboard: recipes that were trained and scored alike, with intervals, the chosen one marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detkds.objective import SCORES, scored_by
from detkds.reading import flag, integer, number, sequence, text

FIGURES = ("low", "high", "gain", "gain_low", "gain_high")


@dataclass(frozen=True)
class LeaderboardRow:
    """One recipe of a leaderboard. Scores and gains are in [0, 1]; None where it is not known.

    Args:
        name: for people.
        recipe: genome text, one loss per line, or "no distillation".
        mean, low, high: mean score over the seeds, and the interval of that mean.
        gain, gain_low, gain_high: over no distillation.
        seeds: how many trainings.
        chosen: whether the student is trained with it.
        rejected: why it could not be trained; "" where it could.
    """

    name: str
    recipe: str
    mean: float | None
    low: float | None
    high: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    seeds: int
    chosen: bool = False
    rejected: str = ""

    @classmethod
    def read(cls, data: Any, word: str) -> LeaderboardRow:
        """From a row of leaderboard.json or results.json, whose mean is called `word`."""
        mean, low, high, gain, gain_low, gain_high = (_optional(data[name]) for name in (word, *FIGURES))
        return cls(
            name=text(data["name"]),
            recipe=text(data["recipe"]),
            mean=mean,
            low=low,
            high=high,
            gain=gain,
            gain_low=gain_low,
            gain_high=gain_high,
            seeds=integer(data["seeds"]),
            chosen=flag(data["chosen"]),
            rejected=text(data["rejected"]),
        )

    def to_json(self, word: str) -> dict[str, Any]:
        """As `read` takes it."""
        figures = zip((word, *FIGURES), (self.mean, self.low, self.high, self.gain, self.gain_low, self.gain_high), strict=True)
        rest = {"seeds": self.seeds, "chosen": self.chosen, "rejected": self.rejected}
        return {"name": self.name, "recipe": self.recipe, **dict(figures), **rest}


@dataclass(frozen=True)
class Leaderboard:
    """Recipes in the order of the leaderboard.

    Args:
        rows: the chosen recipe first, where one is chosen.
        level: of the intervals, for example .95.
        images: what the score was measured on, in words: "search-val", "72 test images".
        scored_by: what scores are, a key of `objective.SCORES`.
    """

    rows: tuple[LeaderboardRow, ...]
    level: float
    images: str
    scored_by: str = "ap"

    @classmethod
    def read(cls, data: Any) -> Leaderboard:
        """From leaderboard.json of a search (schema detkds.leaderboard/1), whose score is that on search-val, or from results.json."""
        rows = tuple(LeaderboardRow.read(row, SCORES[scored_by(data)]) for row in sequence(data["rows"]))
        return cls(rows, number(data["level"]), text(data.get("images", "search-val")), scored_by(data))

    def to_json(self) -> dict[str, Any]:
        """As `read` takes it."""
        rows = [row.to_json(self.word) for row in self.rows]
        return {"score": self.scored_by, "level": self.level, "images": self.images, "rows": rows}

    @property
    def word(self) -> str:
        """What stands above its scores."""
        return SCORES[self.scored_by]

    @property
    def chosen(self) -> LeaderboardRow | None:
        """The recipe that the student is trained with."""
        return next((row for row in self.rows if row.chosen), None)

    @property
    def gaining(self) -> Sequence[LeaderboardRow]:
        """The rows with a known gain."""
        return [row for row in self.rows if row.gain is not None]


def _optional(value: Any) -> float | None:
    return None if value is None else number(value)
