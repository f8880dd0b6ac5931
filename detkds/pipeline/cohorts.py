"""Cohorts: the candidates that a study asks next, trained side by side in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from detkds.errors import DetKDSError
from detkds.genome import Recipe
from detkds.objective import Answer, Goal, Job, Objective, Outcome, outcome, together


class Cohorts:
    """An objective that measures up to `size` announced candidates at once, and gives their answers in the order asked.

    What was measured and not yet taken when the study is killed is measured again.

    Args:
        objective: measures, see `detkds.objective.together`.
        size: of a cohort, at least 1.
    """

    def __init__(self, objective: Objective, size: int) -> None:
        self._objective, self._size = objective, size
        self._announced: deque[Job] = deque()
        self._measured: deque[tuple[Job, Answer]] = deque()

    def ahead(self, jobs: Sequence[Job]) -> None:
        """What will be asked next."""
        self._announced += jobs

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        """The answer to the next job.

        Raises:
            Rejected: the candidate cannot work.
            Exception: whatever else measuring it alone raises.
        """
        if not self._measured:
            cohort = [self._announced.popleft() for _ in range(min(self._size, len(self._announced)))] or [(recipe, goal)]
            self._measured += zip(cohort, together(self._objective, cohort), strict=True)
        job, answer = self._measured.popleft()
        if job != (recipe, goal):
            raise DetKDSError(f"the study requests `{recipe}`, but announced `{job[0]}` first.")
        return outcome(answer)


def cohorts(jobs: Sequence[Job], size: int, workers: int) -> list[Sequence[Job]]:
    """Jobs for several workers: cohorts of at most `size`, smaller ones where else a worker would have none."""
    size = max(1, min(size, -(-len(jobs) // workers)))
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]
