"""Evolution: Alg. 1, lines 1 to 12, for one knowledge."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice

from detkds.genome import Genome, Knowledge, Recipe
from detkds.search.designer import SingleSearch
from detkds.search.population import Breeding, Population
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial, best_of


class Evolution(Breeding, SingleSearch):
    """Evolves the genome of one knowledge. Asks P candidates, then T times a child and a random genome,
    `settings.iterations_at_once` of these pairs at a time.

    No canonical form is asked twice: a child or sample that was seen before is drawn again. Where a parent has no unseen
    neighbour a second random genome takes the child's place, and an exhausted space ends the search.

    Args and errors: as SingleSearch.
    """

    def __init__(
        self, space: SearchSpace, knowledge: Knowledge, settings: SearchSettings, seed: int, warm_start: Sequence[Genome] = ()
    ) -> None:
        super().__init__(space, knowledge, settings, seed, warm_start)
        self._population = Population(settings)
        self._pairs: list[list[Recipe]] = []

    def _propose(self, step: int, rng: random.Random) -> list[Recipe]:
        if step == 0:
            return self._initial(rng)  # Alg. 1, line 2
        self._pairs = [self._pair(rng) for _ in range(self._settings.iterations_of(step))]  # Alg. 1, line 3
        return [recipe for pair in self._pairs for recipe in pair]

    def _pair(self, rng: random.Random) -> list[Recipe]:
        """The candidates of one iteration, fewer where the space is exhausted."""
        child = self._child(rng) or self._random(rng)  # Alg. 1, lines 4 to 7
        return child + self._random(rng)  # Alg. 1, line 8

    def _child(self, rng: random.Random) -> list[Recipe]:
        if not len(self._population):
            return []
        parents = self._population.parents(rng)  # Alg. 1, lines 4 to 6

        def draw() -> Recipe:
            parent = rng.choice(parents).recipe.genomes[0]  # Alg. 1, line 6
            return self._recipe(self._space.mutate(parent, rng))  # Alg. 1, line 7

        return self._fresh(draw)

    def _learn(self, step: int, trials: Sequence[Trial]) -> None:
        if step == 0:
            self._population.join(trials)
            return
        left = iter(trials)
        winners = [best_of(islice(left, len(pair))) for pair in self._pairs]
        self._population.join([winner for winner in winners if winner])  # Alg. 1, lines 9 and 10
