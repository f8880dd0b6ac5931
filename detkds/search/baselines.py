"""Baselines of Table 12 behind the same ask and tell."""

from __future__ import annotations

import random
from collections.abc import Sequence

from detkds.genome import Recipe
from detkds.objective import Goal
from detkds.search.designer import SingleSearch
from detkds.search.trial import Trial


class RandomSearch(SingleSearch):
    """Uniform samples of the space: as many candidates, in batches of the same size, as Evolution requests with the same settings.

    With the same seed both start from the same initial population, so their difference is due to lines 3 to 12 alone.

    Args and errors: as SingleSearch.
    """

    def goal(self) -> Goal:
        """Floor: the best score; nothing below it matters here."""
        return Goal(floor=self.best.score if self.best else None)

    def _propose(self, step: int, rng: random.Random) -> list[Recipe]:
        if step == 0:
            return self._initial(rng)
        return [recipe for _ in range(2 * self._settings.iterations_of(step)) for recipe in self._random(rng)]

    def _learn(self, step: int, trials: Sequence[Trial]) -> None:
        """A random search learns nothing."""
