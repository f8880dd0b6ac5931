"""Objective: what measures a candidate. The search takes one as an argument, and detectors supply one; neither imports the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from detkds.genome import Recipe


@dataclass(frozen=True)
class Outcome:
    """What an objective measured.

    Args:
        score: search-val AP in [0, 1]. Where `partial`, a bound: the highest AP that was still possible when validation stopped below
            the goal's floor, or the lowest when it stopped beyond the ceiling.
        student_steps: optimiser steps it took.
        partial: validation was stopped early.
        details: further figures for the journal; deterministic. Those that are not finite are left out.
        seconds: its share of the time where several were measured together; None: the time until the objective answered.
    """

    score: float
    student_steps: int = 0
    partial: bool = False
    details: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Goal:
    """When validation may stop early (section 3.2 of the paper, "early stop the validation process").

    Args:
        floor: a candidate that can no longer reach this AP changes nothing; None: measure in full.
        ceiling: a candidate that is beyond this AP for certain is already the best; None: measure in full.
    """

    floor: float | None = None
    ceiling: float | None = None

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
