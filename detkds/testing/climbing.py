"""An objective with rungs that costs nothing."""

from __future__ import annotations

import hashlib

from detkds.genome import Recipe
from detkds.objective import Goal, Outcome
from detkds.testing.designer import structured


def chance(recipe: Recipe, what: str) -> float:
    """A number in [0, 1) that depends on the recipe and nothing else."""
    return int(hashlib.sha256(f"{what}/{recipe.digest}".encode()).hexdigest()[:8], 16) / 2**32


class Climbing:
    """An objective with rungs: at a rung a candidate has half of its final score, and `noise` times a number between -1 and 1."""

    def __init__(self, noise: float, dying: int = -1) -> None:
        self.noise, self.dying = noise, dying
        self.goals: list[Goal] = []

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        if len(self.goals) == self.dying:
            raise KeyboardInterrupt
        self.goals.append(goal)
        score = structured(recipe) or 0.0
        rungs: dict[str, float] = {}
        for place, rung in enumerate(goal.rungs, 1):
            there = score / 2 + self.noise * (2 * chance(recipe, str(rung.share)) - 1)
            rungs[str(rung.share)] = there
            if rung.forecast is not None and rung.behind(there):
                return Outcome(rung.forecast.expected(there), 10 * place, left=str(rung.share), rungs=rungs, details={"loss": 0.5})
        return Outcome(score, 40, rungs=rungs, details={"loss": 0.5})
