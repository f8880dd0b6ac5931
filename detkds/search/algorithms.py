"""The searches of one knowledge by the names that run.yaml and the command line use."""

from __future__ import annotations

from collections.abc import Sequence

from detkds.errors import ConfigError
from detkds.genome import Genome, Knowledge
from detkds.search.baselines import RandomSearch
from detkds.search.designer import SingleSearch
from detkds.search.evolution import Evolution
from detkds.search.mcts import MonteCarloTreeSearch
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.tpe import TreeParzenSearch

ALGORITHMS: dict[str, type[SingleSearch]] = {
    "evolution": Evolution,
    "random": RandomSearch,
    "mcts": MonteCarloTreeSearch,
    "tpe": TreeParzenSearch,
}


def single_search(
    algorithm: str, space: SearchSpace, knowledge: Knowledge, settings: SearchSettings, seed: int, warm_start: Sequence[Genome] = ()
) -> SingleSearch:
    """The designer of one knowledge; see SingleSearch.

    Raises:
        ConfigError: no algorithm has this name, or see SingleSearch.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"unknown search algorithm {algorithm!r}: choose from {', '.join(ALGORITHMS)}.")
    return ALGORITHMS[algorithm](space, knowledge, settings, seed, warm_start)
