"""Rungs of a training: the student is scored there, and the training ends where it is clearly behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from detkds.objective import Outcome, Rung


class Left(Exception):
    """A candidate left its training at a rung.

    Attributes:
        outcome: what is known of it.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"left at {outcome.left}")
        self.outcome = outcome


class Climb:
    """Called after each step of a training.

    On a GPU it is called one step late, because losses are read late there; all candidates alike.

    Args:
        rungs: of the candidate.
        steps: of its training, in all.
        score: scores the student as it is, in [0, 1].

    Attributes:
        scores: by share of the steps, as far as the training has come.
    """

    def __init__(self, rungs: Sequence[Rung], steps: int, score: Callable[[], float]) -> None:
        self._due = {math.ceil(rung.share * steps): rung for rung in rungs}
        self._score = score
        self.scores: dict[str, float] = {}

    def __call__(self, step: int) -> None:
        """Score the student where a rung is due.

        Raises:
            Left: it is behind.
        """
        rung = self._due.get(step)
        if rung is None:
            return
        name, score = str(rung.share), self._score()
        self.scores[name] = score
        if rung.forecast is not None and rung.behind(score):
            raise Left(Outcome(rung.forecast.expected(score), left=name, rungs=dict(self.scores)))
