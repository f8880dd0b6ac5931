"""Every search makes every choice that the space offers: no word, weight or share is out of the reach of one of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from detkds.genome import Genome, Knowledge, Recipe
from detkds.search import JointEvolution, MonteCarloTreeSearch, SearchSettings, SearchSpace, TreeParzenSearch, Trial
from detkds.search.algorithms import ALGORITHMS, single_search

Drive = Callable[..., list[Trial]]
SPACES = {
    "paper": SearchSpace.preset("paper"),
    "extended": SearchSpace.preset("extended"),
    "unlabelled": replace(SearchSpace.preset("extended"), labelled=(False, True)),
}
SLOTS = {"attention": ("none", "catt"), "scale": ("none", "scale_2"), "norm": ("none", "norm_N"), "distance": ("l2", "pearson")}
SMALL = SearchSpace({Knowledge.FGBG: SLOTS}, (1.0, 2.0), backgrounds=(0.5, 1.0, 4.0), labelled=(False, True))
"""2 x 2 x 2 x 2 forms, 2 weights, 3 weights of the background, and on all images or on labelled ones: 192 genomes."""


def of(genome: Genome) -> dict[str, Any]:
    """A genome by the names of what it is chosen by."""
    return {**genome.slots, "weight": genome.weight, "background": genome.background, "labelled": genome.labelled}


def asked(algorithm: str, space: SearchSpace, knowledge: Knowledge, drive: Drive, iterations: int = 40) -> Iterator[Genome]:
    """The genomes that a search asks for under a score that means nothing."""
    settings = SearchSettings(6, iterations, 0.9, 3)
    if algorithm == "joint":
        designer: Any = JointEvolution(space, [knowledge], settings, 0)
    else:
        designer = single_search(algorithm, space, knowledge, settings, 0)
    for trial in drive(designer, lambda recipe: int(recipe.digest[:6], 16) % 997 / 1000):
        yield from trial.recipe.genomes


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "joint"])
def test_every_value_of_every_choice_is_reached(algorithm: str, drive: Drive) -> None:
    genomes = list(asked(algorithm, SMALL, Knowledge.FGBG, drive))
    reached = {name: {of(genome)[name] for genome in genomes} for name in SMALL.choices(Knowledge.FGBG)}
    assert reached == {name: set(values) for name, values in SMALL.choices(Knowledge.FGBG).items()}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "joint"])
@pytest.mark.parametrize("knowledge", Knowledge)
def test_no_choice_of_a_space_stays_as_it_is(name: str, algorithm: str, knowledge: Knowledge, drive: Drive) -> None:
    """Beside that, nothing changes that the space does not offer."""
    space = SPACES[name]
    genomes = [of(genome) for genome in asked(algorithm, space, knowledge, drive, iterations=15)]
    changed = {key for key in genomes[0] if len({genome[key] for genome in genomes}) > 1}
    assert changed == set(space.choices(knowledge))
    expected = {*Genome.parse(str(space.sample(random.Random(0), knowledge))).slots, "weight"}
    expected |= {"background"} if name != "paper" and knowledge is Knowledge.FGBG else set()
    assert changed == expected | ({"labelled"} if name == "unlabelled" else set())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_choices_make_a_genome_and_a_genome_has_choices(algorithm: str, drive: Drive) -> None:
    for genome in asked(algorithm, SMALL, Knowledge.FGBG, drive, iterations=3):
        assert SMALL.genome(Knowledge.FGBG, SMALL.chosen(genome)) == genome


def test_a_part_of_a_genome_is_searched_or_known_not_to_be() -> None:
    """`unit` is no choice: calibrated weights set it. A new field of Genome is to join the space's choices or this list."""
    parts = {field.name for field in fields(Genome)} - {"knowledge", "unit", "transforms", "distance"}
    assert parts == set(SMALL.choices(Knowledge.FGBG)) - set(SLOTS)


TINY = replace(SMALL, slots={Knowledge.FGBG: {**dict.fromkeys(SLOTS, ("none",)), "distance": ("l2", "pearson")}}, backgrounds=(0.5, 4.0))
"""16 genomes."""
SHARES = pytest.mark.parametrize(("name", "first", "second"), [("background", 0.5, 4.0), ("labelled", False, True)])


def favouring(name: str, value: Any) -> Callable[[Recipe], float]:
    return lambda recipe: 0.9 if of(recipe.genomes[0])[name] == value else 0.1


@SHARES
def test_tpe_asks_more_often_for_the_better_share(name: str, first: Any, second: Any, drive: Drive) -> None:
    """A choice made without looking at its scores would come as often whichever value is the better one."""
    counts = []
    for value in (first, second):
        searches = (TreeParzenSearch(SMALL, Knowledge.FGBG, SearchSettings(6, 5, 0.9, 3), seed) for seed in range(4))
        later = [trial for search in searches for trial in drive(search, favouring(name, value))[6:]]
        counts.append(sum(of(trial.recipe.genomes[0])[name] == second for trial in later))
    assert 2 * counts[0] < counts[1]


@SHARES
def test_the_tree_of_mcts_knows_the_better_share(name: str, first: Any, second: Any, drive: Drive) -> None:
    """Of two children of one node it holds the better one for the better, wherever it has met both."""
    search: Any = MonteCarloTreeSearch(TINY, Knowledge.FGBG, SearchSettings(6, 5, 0.9, 3), 0)
    drive(search, favouring(name, second))
    level = list(TINY.choices(Knowledge.FGBG)).index(name)
    met = [path for path in search._nodes if len(path) == level + 1 and path[level] == second and (*path[:level], first) in search._nodes]
    assert len(met) >= 2
    assert all(search._reward(search._nodes[path]) > search._reward(search._nodes[(*path[:level], first)]) for path in met)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_warm_start_with_a_share_that_the_space_does_not_offer_is_measured_and_taken_for_no_other(algorithm: str, drive: Drive) -> None:
    space, strange = SPACES["paper"], Genome.parse("fgbg: none > none > none | l2 x 5 bg 4 on labelled")
    search = single_search(algorithm, space, Knowledge.FGBG, SearchSettings(4, 6, 0.9, 2), 0, [strange])
    trials = drive(search, lambda recipe: 0.9 if recipe.genomes == (strange,) else 0.1)
    assert trials[0].recipe.genomes == (strange,)
    if isinstance(search, TreeParzenSearch):
        assert len(list(search._frozen())) == len(trials) - 1
