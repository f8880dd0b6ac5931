"""Designers of Table 12 beside evolution, and what holds for each alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_designers import SETTINGS, SPACE, DesignerContract

from detkds.genome import Genome, Knowledge, Recipe
from detkds.search import (
    Budgeted,
    Designer,
    Evolution,
    JointEvolution,
    MonteCarloTreeSearch,
    RandomSearch,
    Sampling,
    SearchSettings,
    SearchSpace,
    TreeParzenSearch,
    Trial,
    TrialState,
)

Drive = Callable[..., list[Trial]]
Score = Callable[[Recipe], float | None]
SEARCHES = [MonteCarloTreeSearch, TreeParzenSearch, RandomSearch]
TINY = SearchSpace({Knowledge.LOGITS: {"transform": ("none", "softmax_C"), "distance": ("l1", "l2")}}, (1.0, 2.0))  # 2 x 2 x 2 = 8


class TestMonteCarloTreeSearch(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return MonteCarloTreeSearch(SPACE, Knowledge.GLOBAL, SETTINGS, seed)


class TestTreeParzenSearch(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return TreeParzenSearch(SPACE, Knowledge.GLOBAL, SETTINGS, seed)


class TestJointEvolution(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return JointEvolution(SPACE, [Knowledge.GLOBAL, Knowledge.LOGITS], SETTINGS, seed)


class TestBudgetedEvolution(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return Budgeted(Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, seed), 10_000)


@pytest.mark.parametrize("search", SEARCHES)
def test_all_start_from_the_population_of_evolution(search: Any) -> None:
    first = Evolution(SPACE, Knowledge.INSTANCE, SETTINGS, 7).ask()
    assert search(SPACE, Knowledge.INSTANCE, SETTINGS, 7).ask() == first


@pytest.mark.parametrize("search", [MonteCarloTreeSearch, TreeParzenSearch])
def test_a_space_that_is_exhausted_ends_the_search(search: Any, drive: Drive) -> None:
    designer = search(TINY, Knowledge.LOGITS, SearchSettings(3, 20, 0.9, 2), 0)
    distinct = TINY.count(Knowledge.LOGITS).distinct
    assert len(drive(designer, lambda recipe: 0.1)) == distinct < 3 + 2 * 20


@pytest.mark.parametrize("search", [MonteCarloTreeSearch, TreeParzenSearch])
def test_what_was_told_decides_what_is_asked(search: Any, drive: Drive) -> None:
    def favouring(word: str) -> Score:
        return lambda recipe: 0.9 if recipe.genomes[0].transforms[0] == word else 0.1

    settings = SearchSettings(6, 30, 0.9, 3)
    shares = []
    for word in ("catt", "satt"):
        later = drive(search(SPACE, Knowledge.GLOBAL, settings, 0), favouring(word))[6:]
        shares.append(sum(trial.recipe.genomes[0].transforms[0] == "satt" for trial in later))
    assert 2 * shares[0] < shares[1]


@pytest.mark.parametrize("search", SEARCHES)
def test_a_warm_start_outside_the_space_is_measured_and_does_not_stop_the_search(search: Any, drive: Drive) -> None:
    strange = Genome.parse("global: none > scale_1 > none | l2 x 7.5")
    trials = drive(search(SPACE, Knowledge.GLOBAL, SETTINGS, 0, [strange]), lambda recipe: 0.2)
    assert trials[0].recipe.genomes == (strange,)
    assert len(trials) == 6 + 2 * 5


def test_ucb_takes_the_child_of_highest_bound() -> None:
    """Root of 4 visits: child l1 (transform none) 2 visits of score .1 and .3, softmax_C 2 of .2 and .2.

    Stretched by (low, high) = (.1, .3): rewards none (0 + 1) / 2 = .5, softmax_C (.5 + .5) / 2 = .5: equal bounds, so lots decide.
    After a third .3 for softmax_C its reward is (.5 + .5 + 1) / 3 = .667, its bound .667 + √2 √(ln 5 / 3) = 1.702, that of none
    .5 + √2 √(ln 5 / 2) = 1.769: the less visited one is taken.
    """
    search: Any = MonteCarloTreeSearch(TINY, Knowledge.LOGITS, SearchSettings(1, 1, 0.9, 1), 0)
    search._scores = {"a": 0.1, "b": 0.3, "c": 0.2}
    for path, score in ((("none",), 0.1), (("none",), 0.3), (("softmax_C",), 0.2), (("softmax_C",), 0.2), (("softmax_C",), 0.3)):
        search._back((*path, "l1", 1.0), score)
    assert search._reward(search._nodes[("none",)]) == pytest.approx(0.5)
    assert search._reward(search._nodes[("softmax_C",)]) == pytest.approx(2 / 3)

    class NoLots:
        def choice(self, best: list[str]) -> str:
            (only,) = best
            return only

    assert search._select((), ("none", "softmax_C"), NoLots()) == "none"
    search._back(("none", "l1", 1.0), 0.1)
    # none: reward (0 + 1 + 0) / 3 = .333, both have 3 visits
    assert search._select((), ("none", "softmax_C"), NoLots()) == "softmax_C"


def test_a_playout_adds_one_node() -> None:
    search: Any = MonteCarloTreeSearch(TINY, Knowledge.LOGITS, SearchSettings(1, 1, 0.9, 1), 0)
    search._back(("none", "l1", 1.0), 0.5)
    assert set(search._nodes) == {(), ("none",)}
    search._back(("none", "l1", 1.0), None)
    assert set(search._nodes) == {(), ("none",), ("none", "l1")}
    assert (search._nodes[("none",)].visits, search._nodes[("none",)].rejected) == (2, 1)


def test_a_budget_ends_after_the_batch_that_spends_it() -> None:
    """Batches of 6, 2, 2 …, 10 steps each: 60, 80, 100 → a budget of 85 ends at 100."""
    designer = Budgeted(Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, 0), 85)
    asked = 0
    while batch := designer.ask():
        designer.tell([Trial(asked + place, recipe, TrialState.COMPLETE, 0.1, student_steps=10) for place, recipe in enumerate(batch)])
        asked += len(batch)
    assert asked == 10
    assert designer.best is not None


def test_a_budget_does_not_count_what_was_not_trained(drive: Drive) -> None:
    assert len(drive(Budgeted(Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, 0), 1), lambda recipe: None)) == 6 + 2 * 5


def test_a_joint_child_differs_from_a_parent_in_one_slot_of_one_genome(drive: Drive) -> None:
    knowledges = [Knowledge.GLOBAL, Knowledge.LOCALIZATION]
    settings = SearchSettings(population=1, iterations=1, sample_ratio=1, top_k=1)
    parent, child, _ = drive(JointEvolution(SPACE, knowledges, settings, 3), lambda recipe: 0.3)
    changed = [
        (ours.slots | {"weight": ours.weight}, theirs.slots | {"weight": theirs.weight})
        for ours, theirs in zip(parent.recipe.genomes, child.recipe.genomes, strict=True)
    ]
    assert sum(ours[slot] != theirs[slot] for ours, theirs in changed for slot in ours) == 1


def test_sampling_goes_on_until_enough_have_a_score(drive: Drive) -> None:
    knowledges = [Knowledge.GLOBAL, Knowledge.LOGITS]
    trials = drive(Sampling(SPACE, knowledges, 4, 0), lambda recipe: None if recipe.genomes[0].knowledge is Knowledge.LOGITS else 0.1)
    assert [trial.score is not None for trial in trials] == [True, False] * 3 + [True]
    assert len(drive(Sampling(SPACE, knowledges, 4, 0), lambda recipe: None)) == 5 * 4
