"""Trial: one candidate of a study and what became of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any

from detkds.genome import Recipe


class TrialState(StrEnum):
    """Where a trial is in its life."""

    RUNNING = auto()
    COMPLETE = auto()
    """It has a score."""
    REJECTED = auto()
    """It cannot work; `reason` says why. The search continues."""
    LEFT = auto()
    """Its training ended at a rung, because its score at the end would have been too low, see `search.rungs`; `reason` says where."""
    FAILED = auto()
    """The objective broke for no fault of the candidate. Seen by `progress` only: the study ends, and tries it again when resumed."""


ESTIMATE = "estimate"
"""The detail of a trial that LEFT: the score that it would have reached."""


@dataclass(frozen=True)
class Trial:
    """One candidate.

    Args:
        number: its place in the study; 0 is "no distillation".
        recipe: what is trained; a search of one knowledge requests recipes of one genome.
        state: see TrialState.
        score: on search-val, in [0, 1], see `objective.SCORES`; None unless COMPLETE.
        reason: `kind: detail` of the Rejected, of the failure or of leaving; None when COMPLETE.
        student_steps: optimiser steps this trial cost; 0 where an earlier trial answered.
        answered_by: number of the earlier trial with the same trial_id that answered this one.
        borrowed: `answered_by` counts in another study.
        partial: validation was stopped early; the score is a bound.
        rungs: scores in [0, 1] at the rungs, by their shares of the steps.
        details: further figures of the objective, finite and deterministic; of a trial that LEFT also `estimate`, the score it would have
            reached.
    """

    number: int
    recipe: Recipe
    state: TrialState
    score: float | None = None
    reason: str | None = None
    student_steps: int = 0
    answered_by: int | None = None
    borrowed: bool = False
    partial: bool = False
    rungs: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The journal's record of the end of the trial; the record of its start holds the recipe."""
        return {
            "number": self.number, "state": str(self.state), "score": self.score, "reason": self.reason,
            "student_steps": self.student_steps, "answered_by": self.answered_by, "borrowed": self.borrowed,
            "partial": self.partial, **({"rungs": dict(self.rungs)} if self.rungs else {}), "details": dict(self.details),
        }  # fmt: skip

    @classmethod
    def from_json(cls, recipe: Recipe, data: Mapping[str, Any]) -> Trial:
        """Read what `to_json` wrote.

        Raises:
            TypeError, ValueError, KeyError: the record has another form; the journal's reader names file and line.
        """
        return cls(recipe=recipe, **{**data, "state": TrialState(data["state"])})


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """The trial with the highest score, the earlier one of equals; None where none has a score."""
    return max((trial for trial in trials if trial.score is not None), key=_rank, default=None)


def _rank(trial: Trial) -> tuple[float, int]:
    return (-math.inf if trial.score is None else trial.score, -trial.number)
