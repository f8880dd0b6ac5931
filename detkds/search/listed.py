"""A designer that requests given recipes, once: known distillers, or a round of the final race."""

from __future__ import annotations

import random
from collections.abc import Sequence

from detkds.genome import Recipe
from detkds.objective import Goal
from detkds.search.designer import StepwiseDesigner
from detkds.search.trial import Trial


class Listed(StepwiseDesigner):
    """Asks all of the recipes at once; each is measured in full.

    Args:
        recipes: with losses; no distillation is candidate 0 of every study.
        name: of the study.
    """

    def __init__(self, recipes: Sequence[Recipe], name: str) -> None:
        super().__init__(0, name)
        self._recipes = tuple(recipes)

    def goal(self) -> Goal:
        """Open: every score is measured in full."""
        return Goal()

    def _propose(self, step: int, rng: random.Random) -> list[Recipe]:
        return [] if step else list(self._recipes)

    def _learn(self, step: int, trials: Sequence[Trial]) -> None:
        pass
