"""Objective: what measures a candidate. The search takes one as an argument, and detectors supply one; neither imports the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

from detkds.genome import Recipe

SCORES = {"ap": "AP", "loss": "score"}
"""What a student may be scored by on search-val (`search.score`), and the word above such figures. `ap` is AP, and `loss` is 1 / (1 + L),
where L is the mean detection loss. Both are in [0, 1], a higher one is better, and they are shown in percent."""


def scored_by(content: Mapping[str, Any]) -> str:
    """What scores are in the settings of a study, or in a file about one; those by AP may not say so.

    Raises:
        ValueError: something else than SCORES has.
    """
    found = str(content.get("score", "ap"))
    if found not in SCORES:
        raise ValueError(f"a score must be one of {', '.join(SCORES)}, got {found[:40]!r}")
    return found


@dataclass(frozen=True)
class Outcome:
    """What an objective measured.

    Args:
        score: on search-val, in [0, 1], see SCORES. Where `partial`, a bound: the highest score that was still possible when validation
            stopped below the goal's floor, or the lowest when it stopped beyond the ceiling.
        student_steps: optimiser steps it took.
        partial: validation was stopped early.
        left: the rung, such as "1/4", at which the candidate left; the score is then what it would have reached, as the rung's forecast
            expects, and in the limits of [0, 1]. Empty where it was trained to the end.
        rungs: score in [0, 1] at each rung where it was scored, by the rung's share of the steps.
        details: further figures for the journal; deterministic. Those that are not finite are left out.
        seconds: its share of the time where several were measured together; None: the time until the objective answered.
    """

    score: float
    student_steps: int = 0
    partial: bool = False
    left: str = ""
    rungs: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Forecast:
    """The score at the end of a training, from its score at a rung: the line through the candidates that went the whole way, and how far
    from it the next one may lie (a prediction interval of simple linear regression).

    Args:
        count: how many candidates, at least 3.
        early, late: means of their scores at the rung and at the end.
        slope: of the line.
        deviation: of the late scores from the line, the square root of the residual variance.
        spread: sum of squared deviations of the early scores from their mean.
        quantile: of Student's t, how many standard errors the interval reaches.
    """

    count: int
    early: float
    late: float
    slope: float
    deviation: float
    spread: float
    quantile: float

    def expected(self, score: float) -> float:
        """The score to expect at the end, within [0, 1]."""
        return min(max(self._line(score), 0.0), 1.0)

    def highest(self, score: float) -> float:
        """The upper end of the interval."""
        error = self.deviation * math.sqrt(1 + 1 / self.count + (score - self.early) ** 2 / self.spread)
        return self._line(score) + self.quantile * error

    def _line(self, score: float) -> float:
        return self.late + self.slope * (score - self.early)


@dataclass(frozen=True)
class Rung:
    """A place in a candidate's training at which it is scored, and may leave.

    Args:
        share: of its steps, between 0 and 1.
        forecast: of its score at the end; None: it is only scored.
        floor: score that it has to reach at the end.
    """

    share: Fraction
    forecast: Forecast | None = None
    floor: float = 0.0

    def behind(self, score: float) -> bool:
        """Whether a candidate with this score at the rung will end below the floor, as far as the forecast reaches."""
        return self.forecast is not None and self.forecast.highest(score) < self.floor


@dataclass(frozen=True)
class Goal:
    """When validation may stop early (section 3.2 of the paper, "early stop the validation process"), and when the training.

    Args:
        floor: a candidate that can no longer reach this score changes nothing; None: measure in full.
        ceiling: a candidate that is beyond this score for certain is already the best; None: measure in full.
        rungs: in the order of their shares; where repeated, those of the first training.
    """

    floor: float | None = None
    ceiling: float | None = None
    rungs: tuple[Rung, ...] = ()

    def allows(self, score: float) -> bool:
        """True where a partial measurement may report this bound."""
        below = self.floor is not None and score <= self.floor
        return below or (self.ceiling is not None and score >= self.ceiling)


class Objective(Protocol):
    """Trains a recipe for the proxy budget and scores the student."""

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        """Measure a candidate; the same recipe and goal give the same outcome.

        Raises:
            Rejected: the candidate cannot work. Its kind and detail go into the journal, so they are deterministic too.
        """


Job = tuple[Recipe, Goal]
"""What an objective is asked."""
Answer = Outcome | Exception
"""What an objective says of a job: what it measured, or the error that it raises."""


def together(objective: Objective, jobs: Sequence[Job]) -> list[Answer]:
    """The answers of an objective to several jobs, in their order: measured side by side where it has a method `together`, which takes the
    jobs and gives these answers, else one after the other. Each answer is what the objective gives to the job alone."""
    side_by_side = getattr(objective, "together", None)
    if side_by_side is not None:
        found: list[Answer] = side_by_side(jobs)
        return found
    return [_alone(objective, *job) for job in jobs]


def _alone(objective: Objective, recipe: Recipe, goal: Goal) -> Answer:
    try:
        return objective(recipe, goal)
    except Exception as error:  # whatever it is, it is raised when this answer is taken
        return error


def outcome(answer: Answer) -> Outcome:
    """What was measured.

    Raises:
        Exception: the answer is an error.
    """
    if isinstance(answer, Exception):
        raise answer
    return answer
