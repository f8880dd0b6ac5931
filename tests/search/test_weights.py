"""WeightSearch: Alg. 1, lines 13 to 18."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from detkds.errors import ConfigError, GenomeError
from detkds.genome import Genome, Recipe
from detkds.search import SearchSettings, SearchSpace, Trial, WeightSearch

Drive = Callable[..., list[Trial]]

SPACE = SearchSpace.preset()
SETTINGS = SearchSettings(population=12, iterations=20, sample_ratio=0.9, top_k=5)
GLOBAL = Genome.parse("global: catt > scale_2 > norm_N | l1 x 5")
INSTANCE = Genome.parse("instance: none > none > none | l2 x 6")
LOGITS = Genome.parse("logits: softmax_C | pearson x 0.5")
BOXES = Genome.parse("localization: none | giou x 2")


def vectors(recipes: list[Recipe]) -> list[tuple[float, ...]]:
    return [tuple(recipe.weights.values()) for recipe in recipes]


def test_the_first_candidates_are_what_is_known() -> None:
    first = list(WeightSearch([BOXES, GLOBAL, LOGITS, INSTANCE], SPACE, SETTINGS, seed=0).ask())
    assert vectors(first[:6]) == [
        (5, 6, 0.5, 2),  # all
        (5, 6, 0, 0),  # features only
        (5, 0, 0, 0), (0, 6, 0, 0), (0, 0, 0.5, 0), (0, 0, 0, 2),
    ]  # fmt: skip
    assert len(first) == 12
    # alone, a genome trains as in its own search, whose journal answers
    assert [recipe.digest for recipe in first[2:6]] == [Recipe((genome,)).digest for genome in (GLOBAL, INSTANCE, LOGITS, BOXES)]


def test_rows_that_coincide_are_asked_once() -> None:
    settings = SearchSettings(population=1, iterations=0, top_k=1)
    assert vectors(list(WeightSearch([GLOBAL, LOGITS], SPACE, settings, 0).ask())) == [(5, 0.5), (5, 0), (0, 0.5)]
    assert vectors(list(WeightSearch([GLOBAL, INSTANCE], SPACE, settings, 0).ask())) == [(5, 6), (5, 0), (0, 6)]
    assert vectors(list(WeightSearch([LOGITS, BOXES], SPACE, settings, 0).ask())) == [(0.5, 2), (0.5, 0), (0, 2)]


def test_a_small_population_keeps_the_best_of_what_is_known(drive: Drive) -> None:
    search = WeightSearch([GLOBAL, INSTANCE, LOGITS], SPACE, SearchSettings(population=2, iterations=1, top_k=1), 0)
    trials = drive(search, lambda recipe: len(recipe.active) / 10, batches=1)
    assert [trial.score for trial in trials] == [0.3, 0.2, 0.1, 0.1, 0.1]
    assert [trial.score for trial in search.population] == [0.3, 0.2]


def test_several_vectors_are_asked_at_once_and_no_more_of_them_in_all(drive: Drive) -> None:
    genomes = [GLOBAL, INSTANCE, LOGITS]
    search = WeightSearch(genomes, SPACE, SearchSettings(population=6, iterations=7, top_k=2, iterations_at_once=4), 0)
    drive(search, lambda recipe: len(recipe.active) / 10, batches=1)
    assert len(search.ask()) == 4
    drive(search, lambda recipe: len(recipe.active) / 10, batches=1)
    assert len(search.ask()) == 3
    one_by_one = drive(WeightSearch(genomes, SPACE, SearchSettings(6, 7, 0.9, 2), 0), lambda recipe: 0.1)
    together = drive(WeightSearch(genomes, SPACE, SearchSettings(6, 7, 0.9, 2, iterations_at_once=4), 0), lambda recipe: 0.1)
    assert len(one_by_one) == len(together) == 13


def test_one_genome_tries_every_weight_and_ends(drive: Drive) -> None:
    trials = drive(WeightSearch([INSTANCE], SPACE, SETTINGS, 0), lambda recipe: 0.1)
    assert sorted(trial.recipe.genomes[0].weight for trial in trials) == [0.1, 0.5, 1, 2, 5, 6, 8, 10]


def test_a_useless_knowledge_is_pruned(drive: Drive) -> None:
    """The logits only hurt; the features want their largest weights."""

    def score(recipe: Recipe) -> float:
        g, i, logits = recipe.weights.values()
        return 0.5 + (min(g, 8) + min(i, 8)) / 100 - logits / 20

    search = WeightSearch([GLOBAL, INSTANCE, LOGITS], SPACE, SearchSettings(12, 40, 0.9, 5), seed=1)
    trials = drive(search, score)
    assert len(trials) == 12 + 40
    assert search.best is not None
    assert search.best.recipe.weights["logits"] == 0  # type: ignore[index]
    assert search.best.score == pytest.approx(0.66)  # 0.5 + (8 + 8) / 100


def test_the_semantics_is_the_spaces() -> None:
    search = WeightSearch([GLOBAL, LOGITS], SearchSpace.preset(semantics="released"), SETTINGS, 0)
    assert {recipe.semantics for recipe in search.ask()} == {"released"}


def test_bad_genomes_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs 1 to 5 genomes with weights above 0"):
        WeightSearch([], SPACE, SETTINGS, 0)
    with pytest.raises(ConfigError, match="needs 1 to 5 genomes with weights above 0"):
        WeightSearch([GLOBAL, LOGITS.with_weight(0)], SPACE, SETTINGS, 0)
    with pytest.raises(GenomeError, match="one genome per knowledge"):
        WeightSearch([GLOBAL, GLOBAL], SPACE, SETTINGS, 0)
