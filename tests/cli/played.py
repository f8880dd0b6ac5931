"""A search of two knowledges and the weights, on an objective that costs nothing, as the stages conduct it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from detkds.errors import Rejected
from detkds.genome import Genome, Knowledge, Recipe
from detkds.pipeline import studies
from detkds.pipeline.task import RUN, WEIGHTS, Task
from detkds.search import Evolution, Goal, Outcome, SearchSettings, SearchSpace, WeightSearch
from detkds.search.designer import Designer

SETTINGS = SearchSettings(population=4, iterations=3, sample_ratio=0.9, top_k=2)
SEARCHED = ("global", "localization", "logits")
EXPECTED = {"global": 11, "logits": 11, WEIGHTS: 8}
"""1 + 4 + 2 x 3 candidates for a knowledge, 1 + 4 + 3 for the weights."""
FOUND = ("global: catt > scale_2 > norm_N | l1 x 5", "logits: softmax_C | pearson x 0.5")


class Objective:
    """Scores by digest: some candidates are rejected, some stop early, some are answered by others."""

    def identify(self, recipe: Recipe) -> str:
        return recipe.digest[:1] + str(len(recipe.active))

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        number = int(recipe.digest[:6], 16)
        if recipe.active and number % 5 == 0:
            raise Rejected("too-large", f"the loss is {number}")
        score = number % 1000 / 1000 if recipe.active else 0.2
        return Outcome(score, student_steps=50, partial=goal.floor is not None and score < goal.floor, details={"AP50": score / 2})


def designer(name: str, space: SearchSpace) -> Designer:
    if name == WEIGHTS:
        return WeightSearch([Genome.parse(text) for text in FOUND], space, SETTINGS, 0)
    return Evolution(space, Knowledge(name), SETTINGS, 0)


def play(
    run: str,
    work: str,
    *,
    only: tuple[str, ...] = (*SEARCHED, WEIGHTS),
    seed: int = 0,
    objective: Callable[..., Outcome] | None = None,
    space: SearchSpace | None = None,
) -> None:
    """Conduct the studies named, one after the other; localization is left out."""
    proxy: Any = objective or Objective()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(RUN, run)
        for name in only:
            title = name if name == WEIGHTS else f"evolve {name}"
            settings = {"knowledge": name, "seed": seed} if name != WEIGHTS else {"genomes": list(FOUND), "seed": seed}
            task = Task(name, EXPECTED.get(name, 0), () if name == WEIGHTS else SEARCHED)
            if name == "localization":
                studies.left_out(title, task, "the student predicts no boxes", settings, work)
            else:
                studies.conduct(title, task, designer(name, space or SearchSpace.preset()), proxy, settings, work=work)
