"""Evolution without divide and conquer (Table 12): all losses of Eq. 1 evolve together."""

from __future__ import annotations

import random
from collections.abc import Sequence

from detkds.errors import ConfigError
from detkds.genome import Knowledge, Recipe
from detkds.search.designer import StepwiseDesigner
from detkds.search.population import Breeding, Population
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial, best_of


class JointEvolution(Breeding, StepwiseDesigner):
    """Alg. 1, lines 1 to 12, where a candidate is a whole recipe: one genome of each knowledge, with its weight.

    A mutation changes one slot, or the weight, of one genome. A recipe's weights are searched here too, so no weight search follows.

    Args:
        space: where genomes come from.
        knowledges: those that the pair can share.
        settings: (P, T, r, k).
        seed: of the study.

    Raises:
        ConfigError: no knowledge.
    """

    def __init__(self, space: SearchSpace, knowledges: Sequence[Knowledge], settings: SearchSettings, seed: int) -> None:
        super().__init__(seed, "joint")
        if not knowledges:
            raise ConfigError("a joint search needs one knowledge or more, got none.")
        self._space, self._knowledges, self._settings = space, tuple(knowledges), settings
        self._population = Population(settings)

    def _propose(self, step: int, rng: random.Random) -> list[Recipe]:
        if step == 0:
            return [recipe for _ in range(self._settings.population) for recipe in self._random(rng)]  # Alg. 1, line 2
        if step > self._settings.iterations:
            return []
        child = self._child(rng) or self._random(rng)  # Alg. 1, lines 4 to 7
        return child + self._random(rng)  # Alg. 1, line 8

    def _learn(self, step: int, trials: Sequence[Trial]) -> None:
        if step == 0:
            self._population.join(trials)
        elif winner := best_of(trials):
            self._population.join([winner])  # Alg. 1, lines 9 and 10

    def _random(self, rng: random.Random) -> list[Recipe]:
        return self._fresh(lambda: self._whole(rng))

    def _whole(self, rng: random.Random) -> Recipe:
        return Recipe(tuple(self._space.sample(rng, knowledge) for knowledge in self._knowledges), self._space.semantics)

    def _child(self, rng: random.Random) -> list[Recipe]:
        if not len(self._population):
            return []
        parents = self._population.parents(rng)
        return self._fresh(lambda: self._mutated(rng.choice(parents).recipe, rng))

    def _mutated(self, recipe: Recipe, rng: random.Random) -> Recipe:
        place = rng.randrange(len(recipe.genomes))
        genomes = list(recipe.genomes)
        genomes[place] = self._space.mutate(genomes[place], rng)
        return Recipe(tuple(genomes), recipe.semantics)
