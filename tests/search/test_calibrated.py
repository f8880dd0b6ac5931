"""Weights as shares: units are measured once, written into every recipe, and hidden from the designer behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detkds.genome import Genome, Knowledge, Recipe
from detkds.search import Designer, Evolution, SearchSettings, SearchSpace, Trial, TrialState, WeightSearch
from detkds.search.calibrated import Calibrated, form, share
from detkds.search.estimate import estimates
from detkds.testing import DesignerContract
from detkds.testing.designer import drive, structured

SETTINGS = SearchSettings(population=6, iterations=5, sample_ratio=0.9, top_k=3)
SPACE = SearchSpace.preset()


def unit(genome: Genome, semantics: str) -> float:
    """A number above 1 that depends on the words alone."""
    assert genome == form(genome)
    return 2.0 + sum(map(ord, str(genome))) % 40


class TestCalibrated(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return Calibrated(Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, seed), unit)


def test_the_search_goes_the_same_way_and_its_recipes_have_units() -> None:
    plain = drive(Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, 0), structured)
    found = drive(Calibrated(Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, 0), unit), structured)
    for one, other in zip(plain, found, strict=True):
        (bare,), (measured,) = one.recipe.genomes, other.recipe.genomes
        assert measured == bare.with_unit(unit(form(bare), "paper"))


def test_a_unit_is_measured_once_and_not_again_where_a_journal_holds_it() -> None:
    asked: list[Genome] = []

    def count(genome: Genome, semantics: str) -> float:
        asked.append(genome)
        return unit(genome, semantics)

    trials = drive(Calibrated(Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, 0), count), structured)
    assert len(asked) == len(set(asked)) == len({form(trial.recipe.genomes[0]) for trial in trials})
    resumed = Calibrated(Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, 0), lambda genome, semantics: 77.0)
    resumed.remember(trial.recipe for trial in trials)
    assert drive(resumed, structured) == trials


def test_the_search_over_weights_changes_shares_and_keeps_units() -> None:
    found = [Genome.parse("global: none > none > none | l2 x 2 unit 7"), Genome.parse("logits: none | l1 x 5 unit 0.3")]
    for trial in drive(WeightSearch(found, SPACE, SETTINGS, 0), structured):
        assert [genome.unit for genome in trial.recipe.genomes] == [7, 0.3]
        assert all(genome.weight in (0, *SPACE.weights) for genome in trial.recipe.genomes)


def test_a_published_weight_is_a_share_of_the_same_strength() -> None:
    """PKD's 20 is a share of 20 / 8 = 2.5 where its unit is 8; in a unit of 0.001 it would be 20,000, which is not a weight."""
    genome = Genome.parse("global: none > none > norm_batch | l2 x 20")
    found = share(genome, 8.0)
    assert found is not None
    assert found.weight == 2.5
    assert found.with_unit(8).factor == genome.factor
    assert share(genome, 0.001) is None


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_an_estimate_compares_factors_and_shares_of_one_loss(weight: float) -> None:
    """A known distiller's factor 10 is the share 2.5 of a loss whose unit is 4: the same candidate, twice measured, so one estimate."""
    loss = Genome.parse("global: none > none > none | l2").with_unit(4)
    others = [Genome.parse(f"global: satt > none > {norm} | l1 x {weight}").with_unit(3) for norm in ("norm_C", "norm_HW", "norm_N")]
    recipes = [Recipe((genome,)) for genome in (loss.with_weight(2.5), *others)]
    trials = [Trial(place, recipe, TrialState.COMPLETE, score=0.1 + 0.05 * place) for place, recipe in enumerate(recipes)]
    again = Trial(9, Recipe((loss.with_unit(1).with_weight(10),)), TrialState.COMPLETE, score=0.3)
    found = estimates([*trials, again])
    written = replace(again, recipe=recipes[0])
    assert found[recipes[0].digest] == estimates([*trials, written])[recipes[0].digest]
