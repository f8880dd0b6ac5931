"""Repeated: a candidate measured with several seeds, so that chance in one training does not pick the winner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev

from detkds.errors import Rejected
from detkds.genome import Recipe
from detkds.objective import Goal, Objective, Outcome


class Repeated:
    """The mean of several objectives that differ in their seed.

    A race: while the mean of a candidate's scores so far lies below the goal's floor it is not measured again, for most candidates are
    not worth it. So leaders cost all the trainings and the others about one. What was dropped has an outcome that is `partial`; it is
    an estimate of its mean and no bound of it, and a candidate with a bad first seed is lost.

    Not in the paper, which trains each candidate once: there a candidate is scored on 5,000 images, and small sets are noisier.

    Args:
        objectives: one per seed, at least one, in the order in which they are asked.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = tuple(objectives)

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        """Measure a candidate with the first seed, and with the next while it keeps up.

        Returns:
            The mean score and the means of the details; with two or more scores also their standard deviation, `spread`.

        Raises:
            Rejected: the candidate cannot work with one of the seeds; with the steps of all.
        """
        outcomes: list[Outcome] = []
        for objective in self._objectives:
            try:
                outcomes.append(objective(recipe, _rest(goal, outcomes)))
            except Rejected as rejected:
                steps = rejected.student_steps + sum(outcome.student_steps for outcome in outcomes)
                raise Rejected(rejected.kind, rejected.detail, steps) from rejected
            if outcomes[-1].partial or (goal.floor is not None and _mean(outcomes) < goal.floor):
                break
        found = _joined(outcomes, whole=len(outcomes) == len(self._objectives))
        if found.partial and goal.floor is not None:
            return replace(found, score=min(found.score, goal.floor))
        return found


def _rest(goal: Goal, outcomes: Sequence[Outcome]) -> Goal:
    """What the next score must reach, so that the mean reaches the floor."""
    if goal.floor is None:
        return Goal()
    return Goal(max(0.0, goal.floor * (len(outcomes) + 1) - sum(outcome.score for outcome in outcomes)))


def _mean(outcomes: Sequence[Outcome]) -> float:
    return fmean(outcome.score for outcome in outcomes)


def _joined(outcomes: Sequence[Outcome], *, whole: bool) -> Outcome:
    names = [name for name in outcomes[0].details if all(name in outcome.details for outcome in outcomes)]
    details = {name: fmean(outcome.details[name] for outcome in outcomes) for name in names}
    if len(outcomes) > 1:
        details["spread"] = stdev(outcome.score for outcome in outcomes)
    steps = sum(outcome.student_steps for outcome in outcomes)
    return Outcome(_mean(outcomes), steps, partial=outcomes[-1].partial or not whole, details=details)
