"""What tests of the search share: a cheap objective with structure, and a driver without a journal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from detkds.genome import Recipe
from detkds.search import Designer, Trial, TrialState

Score = Callable[[Recipe], float | None]


def structured(recipe: Recipe) -> float | None:
    """A score in (0, 1) to which each word of a genome adds its share; None, a rejection, for distance kl."""
    total = 0.0
    for genome in recipe.active:
        if genome.distance == "kl":
            return None
        words = (*genome.transforms, genome.distance)
        total += sum(1 / (1 + sum(map(ord, word)) * 7 % 11) for word in words) + 1 / (1 + abs(genome.weight - 5))
    return total / (total + 5)


def drive(designer: Designer, score: Score, batches: int | None = None) -> list[Trial]:
    """Ask, score and tell until the designer is done, or for some batches."""
    trials: list[Trial] = []
    while (batches is None or batches > 0) and (asked := designer.ask()):
        told = [answer(len(trials) + index + 1, recipe, score(recipe)) for index, recipe in enumerate(asked)]
        designer.tell(told)
        trials += told
        batches = batches and batches - 1
    return trials


def answer(number: int, recipe: Recipe, score: float | None) -> Trial:
    """A trial with a score, or rejected."""
    if score is None:
        return Trial(number, recipe, TrialState.REJECTED, reason="nan: loss")
    return Trial(number, recipe, TrialState.COMPLETE, score=score, student_steps=10)


@pytest.fixture(name="structured")
def _structured() -> Score:
    return structured


@pytest.fixture(name="drive")
def _drive() -> Callable[..., list[Trial]]:
    return drive
