"""Random genomes of several knowledges, for a look at the space rather than a search (Figure 5)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from detkds.genome import Knowledge, Recipe
from detkds.objective import Goal
from detkds.search.designer import StepwiseDesigner
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial

TRIES = 5
"""Draws for each genome that is wanted, at most: what is rejected is not."""


class Sampling(StepwiseDesigner):
    """Asks uniform samples, the knowledges in turn, one at a time, until `genomes` of them have a score.

    Args:
        space: where genomes come from.
        knowledges: one or more.
        genomes: how many with a score; fewer where five times as many draws do not bring them.
        seed: of the study.
    """

    def __init__(self, space: SearchSpace, knowledges: Sequence[Knowledge], genomes: int, seed: int) -> None:
        super().__init__(seed, "sampling")
        self._space, self._knowledges, self._genomes = space, tuple(knowledges), genomes
        self._scored = 0

    def goal(self) -> Goal:
        """Open: every score is measured in full."""
        return Goal()

    def _propose(self, step: int, rng: random.Random) -> list[Recipe]:
        if self._scored >= self._genomes or step >= TRIES * self._genomes:
            return []
        knowledge = self._knowledges[step % len(self._knowledges)]
        return self._fresh(lambda: Recipe((self._space.sample(rng, knowledge),), self._space.semantics))

    def _learn(self, step: int, trials: Sequence[Trial]) -> None:
        self._scored += sum(trial.score is not None for trial in trials)
