"""Evolution: Alg. 1, lines 1 to 12, line by line; and that it finds more than chance."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from detkds.errors import ConfigError, GenomeError
from detkds.genome import Genome, Knowledge, Recipe, canonical
from detkds.search import Evolution, Goal, RandomSearch, SearchSettings, SearchSpace, Trial, TrialState
from detkds.search.population import Population

Drive = Callable[..., list[Trial]]
Score = Callable[[Recipe], float | None]

SPACE = SearchSpace.preset()
SETTINGS = SearchSettings(population=4, iterations=3, sample_ratio=0.5, top_k=2)


def genome(text: str) -> Genome:
    return Genome.parse(text)


def tell(designer: Evolution, scores: list[float | None], first: int) -> list[Trial]:
    states = [TrialState.REJECTED if score is None else TrialState.COMPLETE for score in scores]
    told = [
        Trial(first + index, recipe, state, score)
        for index, (recipe, state, score) in enumerate(zip(designer.ask(), states, scores, strict=True))
    ]
    designer.tell(told)
    return told


def members(designer: Evolution) -> list[int]:
    return [trial.number for trial in designer.population]


def test_the_better_joins_and_the_worst_leaves() -> None:
    designer = Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, seed=0)
    tell(designer, [0.1, 0.4, 0.2, 0.3], first=1)
    assert members(designer) == [1, 2, 3, 4]
    tell(designer, [0.25, 0.35], first=5)  # 6 joins, 1 (0.1) leaves
    assert members(designer) == [2, 3, 4, 6]
    tell(designer, [0.05, 0.01], first=7)  # 7 joins and, as the worst, leaves
    assert members(designer) == [2, 3, 4, 6]
    tell(designer, [0.9, 0.9], first=9)  # equal: the child, asked first, joins; 3 (0.2) leaves
    assert members(designer) == [2, 4, 6, 9]
    assert designer.ask() == ()
    assert designer.best is not None
    assert designer.best.number == 9


def test_rejected_candidates_never_join() -> None:
    designer = Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, seed=0)
    tell(designer, [None, 0.4, None, 0.0], first=1)
    assert members(designer) == [2, 4]
    tell(designer, [None, 0.3], first=5)  # the population is short: nobody leaves
    assert members(designer) == [2, 4, 6]
    tell(designer, [None, None], first=7)
    assert members(designer) == [2, 4, 6]


def test_iterations_at_once_descend_from_one_population_and_the_better_of_each_pair_joins() -> None:
    settings = SearchSettings(population=4, iterations=5, sample_ratio=1, top_k=1, iterations_at_once=3)
    designer = Evolution(SPACE, Knowledge.GLOBAL, settings, seed=0)
    best = tell(designer, [0.1, 0.4, 0.2, 0.3], first=1)[1]
    children = designer.ask()[::2]
    assert [differences(best.recipe, child) for child in children] == [1, 1, 1]  # the top 1 is number 2
    tell(designer, [0.25, 0.35, 0.05, 0.01, None, 0.5], first=5)  # 6, 7 and 10 are the better ones; 1, 3 and 7 are the worst
    assert members(designer) == [2, 4, 6, 10]
    assert len(designer.ask()) == 4  # two of the five iterations are left
    tell(designer, [0.0, 0.0, 0.0, 0.0], first=11)
    assert designer.ask() == ()


@pytest.mark.parametrize("at_once", [2, 3, 7, 64])
def test_as_many_candidates_are_asked_whatever_is_asked_at_once(at_once: int) -> None:
    def numbers(searcher: type[Evolution] | type[RandomSearch], at_once: int) -> list[int]:
        designer = searcher(SPACE, Knowledge.GLOBAL, SearchSettings(4, 7, 0.5, 2, at_once), seed=0)
        sizes = []
        while asked := designer.ask():
            designer.tell([Trial(0, recipe, TrialState.COMPLETE, 0.1) for recipe in asked])
            sizes.append(len(asked))
        return sizes

    for searcher in (Evolution, RandomSearch):
        assert sum(numbers(searcher, at_once)) == sum(numbers(searcher, 1)) == 4 + 2 * 7
        assert max(numbers(searcher, at_once)[1:]) == 2 * min(at_once, 7)


def test_the_goal_is_the_top_k_of_the_population() -> None:
    designer = Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, seed=0)
    tell(designer, [None, 0.4, None, None], first=1)
    assert designer.goal() == Goal(floor=None, ceiling=0.4)  # one member: any score enters the top 2
    tell(designer, [0.2, 0.3], first=5)
    assert designer.goal() == Goal(floor=0.3, ceiling=0.4)


def test_a_child_differs_from_a_parent_of_the_pool_in_one_slot() -> None:
    settings = SearchSettings(population=4, iterations=1, sample_ratio=0.75, top_k=2)
    for seed in range(30):
        designer = Evolution(SPACE, Knowledge.INSTANCE, settings, seed)
        initial = tell(designer, [0.1, 0.4, 0.2, 0.3], first=1)
        child, _ = designer.ask()
        # a pool of 3 of the 4: the worst, number 1, is never among its top 2
        assert any(trial.number != 1 and differences(trial.recipe, child) == 1 for trial in initial)


def differences(first: Recipe, second: Recipe) -> int:
    (a,), (b,) = first.genomes, second.genomes
    return sum(a.slots[slot] != b.slots[slot] for slot in a.slots) + (a.weight != b.weight)


def test_parents_are_the_top_k_of_a_pool_without_replacement() -> None:
    settings = SearchSettings(population=10, iterations=1, sample_ratio=0.75, top_k=3)
    population = Population(settings)
    population.join([Trial(number, Recipe(), TrialState.COMPLETE, number / 10) for number in range(1, 11)])
    drawn = [[trial.number for trial in population.parents(random.Random(seed))] for seed in range(300)]
    assert all(len(set(numbers)) == 3 and numbers == sorted(numbers, reverse=True) for numbers in drawn)
    # The pool has ceil(7.5) = 8 of 10 members: at worst 10 and 9 are missing, so the top 3 lie within the best 5.
    assert {number for numbers in drawn for number in numbers} == {10, 9, 8, 7, 6}


def test_of_equals_the_older_leaves() -> None:
    population = Population(SearchSettings(population=2, top_k=1))
    population.join([Trial(number, Recipe(), TrialState.COMPLETE, 0.5) for number in (1, 2, 3)])
    assert [trial.number for trial in population.members] == [2, 3]


def test_warm_starts_open_the_initial_population() -> None:
    warm = [genome("global: catt > scale_2 > norm_N | l1 x 6"), genome("global: none > none > norm_batch | l2 x 6")]
    first = Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, 0, warm).ask()
    assert [recipe.genomes[0] for recipe in first[:2]] == warm
    assert len(first) == 4


def test_warm_starts_that_train_alike_are_asked_once() -> None:
    warm = [genome("global: none > scale_1 > none | l2 x 1"), genome("global: none > none > none | l2 x 1")]
    first = Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, 0, warm).ask()
    assert len(first) == 4
    assert [canonical(recipe.genomes[0]) for recipe in first].count(warm[1]) == 1


def test_bad_warm_starts_are_refused() -> None:
    with pytest.raises(ConfigError, match="the global search is warm-started with global genomes, got `logits: none"):
        Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, 0, [genome("logits: none | l1")])
    with pytest.raises(ConfigError, match=r"`len\(warm_start\) <= population` must hold, but got 5 and 4"):
        Evolution(SPACE, Knowledge.LOGITS, SETTINGS, 0, [genome(f"logits: none | l1 x {weight}") for weight in range(1, 6)])
    with pytest.raises(GenomeError, match="released has no distance kl"):
        Evolution(SearchSpace.preset(semantics="released"), Knowledge.LOGITS, SETTINGS, 0, [genome("logits: none | kl")])


def test_an_exhausted_space_ends_the_search(drive: Drive) -> None:
    slots = {Knowledge.LOCALIZATION: {"transform": ("none",), "distance": ("iou", "giou")}}
    for designer in (Evolution, RandomSearch):
        search = designer(SearchSpace(slots, (1.0, 2.0, 5.0)), Knowledge.LOCALIZATION, SETTINGS, seed=0)
        assert len(drive(search, lambda recipe: recipe.genomes[0].weight / 10)) == 6  # of 4 + 2 x 3


def test_the_stream_of_a_step_is_its_own() -> None:
    """What is drawn in step i does not depend on how much was drawn before: another history, the same random sample."""
    first, second = (Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, seed=5) for _ in range(2))
    tell(first, [None] * 4, first=1)
    tell(second, [None] * 4, first=1)
    tell(first, [None, None], first=5)
    tell(second, [None, 0.2], first=5)
    assert first.ask()[0] != second.ask()[0]  # a random genome there, a child here
    other = Evolution(SPACE, Knowledge.FGBG, SETTINGS, seed=5)
    assert [recipe.genomes[0].slots for recipe in other.ask()] != [
        recipe.genomes[0].slots for recipe in Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, seed=5).ask()
    ]


def test_a_long_search_does_not_dry_up(drive: Drive) -> None:
    """Were all steps to draw from one stream, late steps would meet only what was asked before."""
    settings = SearchSettings(population=1, iterations=150, top_k=1)
    assert len(drive(RandomSearch(SPACE, Knowledge.GLOBAL, settings, 0), lambda recipe: None)) == 1 + 2 * 150


def test_random_search_starts_from_the_same_population() -> None:
    assert RandomSearch(SPACE, Knowledge.GLOBAL, SETTINGS, 3).ask() == Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, 3).ask()


@pytest.mark.parametrize("knowledge", [Knowledge.GLOBAL, Knowledge.LOGITS, Knowledge.LOCALIZATION])
def test_evolution_finds_more_than_its_start_and_than_chance(knowledge: Knowledge, drive: Drive, structured: Score) -> None:
    settings = SearchSettings.preset("paper")
    found, started, chance = 0.0, 0.0, 0.0
    for seed in range(20):
        trials = drive(Evolution(SPACE, knowledge, settings, seed), structured)
        found += best(trials)
        started += best(trials[: settings.population])
        chance += best(drive(RandomSearch(SPACE, knowledge, settings, seed), structured))
        assert best(trials) >= best(trials[: settings.population])
    assert found > started
    assert found > chance


def best(trials: list[Trial]) -> float:
    return max(trial.score for trial in trials if trial.score is not None)
