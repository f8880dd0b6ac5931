"""Repeated: a candidate measured with several seeds, so that chance in one training does not pick the winner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev

from detkds.errors import Rejected
from detkds.genome import Recipe
from detkds.objective import Answer, Goal, Job, Objective, Outcome, outcome, together


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
        return outcome(self.together([(recipe, goal)])[0])

    def together(self, jobs: Sequence[Job]) -> list[Answer]:
        """Measure several candidates side by side: all with the first seed, and those that keep up with the next."""
        runs = [_Run(*job) for job in jobs]
        for objective in self._objectives:
            if not (left := [run for run in runs if not run.ended]):
                break
            for run, answer in zip(left, together(objective, [run.job for run in left]), strict=True):
                run.take(answer)
        return [run.answer(len(self._objectives)) for run in runs]


class _Run:
    """What is known of a candidate so far."""

    def __init__(self, recipe: Recipe, goal: Goal) -> None:
        self._recipe, self._goal = recipe, goal
        self._outcomes: list[Outcome] = []
        self._error: Exception | None = None
        self.ended = False

    @property
    def job(self) -> Job:
        """What the next objective is asked."""
        rungs = () if self._outcomes else self._goal.rungs
        return self._recipe, replace(_rest(self._goal, self._outcomes), rungs=rungs)

    def take(self, answer: Answer) -> None:
        """Note what the next objective said."""
        if isinstance(answer, Exception):
            self._error, self.ended = answer, True
            return
        self._outcomes.append(answer)
        self.ended = answer.partial or bool(answer.left) or (self._goal.floor is not None and _mean(self._outcomes) < self._goal.floor)

    def answer(self, seeds: int) -> Answer:
        """The mean of what was measured; a rejection has the steps of all."""
        if isinstance(self._error, Rejected):
            steps = self._error.student_steps + sum(outcome.student_steps for outcome in self._outcomes)
            rejected = Rejected(self._error.kind, self._error.detail, steps)
            rejected.__cause__ = self._error
            return rejected
        if self._error is not None:
            return self._error
        if self._outcomes[-1].left:
            return self._outcomes[-1]
        found = _joined(self._outcomes, whole=len(self._outcomes) == seeds)
        if found.partial and self._goal.floor is not None:
            return replace(found, score=min(found.score, self._goal.floor))
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
    times = [outcome.seconds for outcome in outcomes if outcome.seconds is not None]
    seconds = sum(times) if len(times) == len(outcomes) else None
    partial = outcomes[-1].partial or not whole
    return Outcome(_mean(outcomes), steps, partial=partial, rungs=outcomes[0].rungs, details=details, seconds=seconds)
