"""Whole searches of Table 12 on an objective that costs nothing: equal steps, curves, and what is left of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detkds.errors import Rejected
from detkds.experiments.searches import VARIANTS, Remembering, Searched, Variant, VariantSearch
from detkds.genome import Knowledge, Recipe
from detkds.objective import Answer
from detkds.pipeline.settings import SearchPlan, WeightsPlan
from detkds.search import Goal, Outcome, Study, Trial, TrialState

STEPS = 10
PLAN = SearchPlan("paper", "paper", "evolution", population=4, iterations=3, sample_ratio=0.9, top_k=2, early_stop=False)
HUNT = VariantSearch(PLAN, WeightsPlan(4, 3, early_stop=False), (Knowledge.GLOBAL, Knowledge.LOGITS), 0)
BUDGET = 2 * (4 + 2 * 3) * STEPS + (4 + 3) * STEPS
"""Two knowledges of P + 2T candidates and the weights' P + T: 270 steps."""


class Fake:
    """Scores by digest; one recipe in four is rejected, after 3 steps where there is no filter."""

    def __init__(self, loss_filter: bool = True) -> None:
        self.wasted = 0 if loss_filter else 3
        self.identity = {"fake": loss_filter}

    def identify(self, recipe: Recipe) -> str:
        return recipe.digest

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        number = int(recipe.digest[:6], 16)
        if recipe.active and number % 4 == 0:
            raise Rejected("nan", "the loss", self.wasted)
        return Outcome(number % 997 / 1000 if recipe.active else 0.1, STEPS)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DETKDS_HOME", str(tmp_path))
    return tmp_path


def search(variant: Variant, variant_search: VariantSearch = HUNT) -> Searched:
    proxy: Any = Fake(variant.loss_filter)
    return variant_search.search(variant, proxy)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_spends_the_same_steps(variant: Variant, home: Path) -> None:
    """But for the last batch of each of three studies, of at most two candidates, and candidate 0."""
    found = search(variant).to_json()
    assert BUDGET <= found["student_steps"] - STEPS < BUDGET + 3 * 2 * STEPS
    assert found["rejected"] > 0
    steps = [point[0] for point in found["curve"]]
    scores = [point[1] for point in found["curve"]]
    assert steps == sorted(steps)
    assert scores == sorted(scores)
    assert (steps[-1], scores[-1]) == (found["student_steps"], found["search_val_AP"])


def test_a_search_is_replayed_from_its_journals(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = search(VARIANTS[0]).to_json()
    calls: list[Recipe] = []
    whole = Fake.__call__
    monkeypatch.setattr(Fake, "__call__", lambda self, recipe, goal: calls.append(recipe) or whole(self, recipe, goal))
    again = search(VARIANTS[0]).to_json()
    assert {**again, "seconds": 0} == {**first, "seconds": 0}
    assert not any(recipe.active for recipe in calls)


def test_without_divide_and_conquer_all_losses_come_together(home: Path) -> None:
    trials = list(search(Variant("no-divide", divide=False)).trials())
    assert {len(trial.recipe.active) for trial in trials[1:]} == {2}


def test_the_first_iterations_of_a_longer_search_are_the_shorter_search(home: Path) -> None:
    """What `ablate iterations` relies on: T = 1 is the first 1 + P + 2 trials of T = 3."""
    proxy: Any = Fake()
    longer, shorter = (HUNT.single(Knowledge.GLOBAL, replace(PLAN, iterations=count), proxy).trials for count in (3, 1))
    assert shorter == longer[: 1 + 4 + 2]


def test_a_curve_rises_where_a_score_is_better() -> None:
    """Study one: none .1, then .3, rejected, .2; study two, whose candidate 0 is not counted again: .4. 10 steps each."""

    def trial(number: int, score: float | None, steps: int = 10) -> Trial:
        state = TrialState.COMPLETE if score is not None else TrialState.REJECTED
        return Trial(number, Recipe(), state, score, student_steps=steps)

    one = Study((trial(0, 0.1), trial(1, 0.3), trial(2, None, 0), trial(3, 0.2)), "a")
    two = Study((trial(0, 0.1), trial(1, 0.4)), "b")
    assert Searched((one, two)).curve() == [(10, 0.1), (20, 0.3), (40, 0.4), (40, 0.4)]


def test_a_remembered_candidate_costs_every_search_its_full_price() -> None:
    asked: list[Recipe] = []

    class Costly:
        def together(self, jobs: Sequence[tuple[Recipe, Goal]]) -> list[Answer]:
            asked.extend(recipe for recipe, _ in jobs)
            assert all(goal == Goal() for _, goal in jobs)
            return [Outcome(0.2, STEPS) if recipe.active[0].weight <= 5 else Rejected("nan", "the loss", 3) for recipe, _ in jobs]

    class Counting(Remembering):
        def __init__(self) -> None:
            self._repeated: Any = Costly()
            self._early_stop = True

        def identify(self, recipe: Recipe) -> str:
            return recipe.digest

    proxy = Counting()
    good, bad = (Recipe.parse(f"global: none > none > none | l2 x {weight}") for weight in (1, 8))
    assert [proxy(good, Goal(floor=0.5)).student_steps for _ in range(2)] == [STEPS, STEPS]
    for _ in range(2):
        with pytest.raises(Rejected, match="nan: the loss") as caught:
            proxy(bad, Goal())
        assert caught.value.student_steps == 3
    assert asked == [good, bad]


def test_sampling_scores_genomes_of_all_knowledges(home: Path) -> None:
    proxy: Any = Fake()
    trials = HUNT.sample(6, proxy).trials
    scored = [trial for trial in trials if trial.score is not None and trial.recipe.active]
    assert len(scored) == 6
    assert {genome.knowledge for trial in trials for genome in trial.recipe.genomes} == {Knowledge.GLOBAL, Knowledge.LOGITS}
