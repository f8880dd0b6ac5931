"""WeightSearch: Alg. 1, lines 13 to 18: how much each of the found losses counts in Eq. 1."""

from __future__ import annotations

import random
from collections.abc import Sequence

from detkds.errors import ConfigError
from detkds.genome import Genome, Recipe
from detkds.search.designer import StepwiseDesigner
from detkds.search.population import Breeding, Population
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial


class WeightSearch(Breeding, StepwiseDesigner):
    """Evolves the weight vector of one to five genomes over the space's weights and 0, which prunes a knowledge.

    The first candidates are not random, so that the search cannot end below what is known already:

    1. all genomes with the weights they were found with;
    2. the feature genomes alone ("DetKDS (feature)" in Table 6), where there are several and response genomes besides;
    3. each genome alone with its own weight: the winners of the single searches, which their journals answer at no cost.

    All of them are asked even where P is smaller; random vectors fill up to P. Then an iteration asks one vector: two parents among the
    top k of a pool are crossed and one weight of the child is mutated. It joins, the worst leaves.
    `settings.iterations_at_once` of these vectors are asked at a time. The zero vector is never asked: it is candidate 0 of the study.

    Args:
        genomes: the best genome of each single search; knowledges may be absent.
        space: gives the weights and the semantics.
        settings: (P, T, r, k); the paper's T is 40.
        seed: of the study.

    Raises:
        ConfigError: no genome, or one of weight 0.
        GenomeError: two genomes of one knowledge.
    """

    def __init__(self, genomes: Sequence[Genome], space: SearchSpace, settings: SearchSettings, seed: int) -> None:
        super().__init__(seed, "weights")
        self._recipe = Recipe(tuple(genomes), space.semantics)
        if not genomes or len(self._recipe.active) < len(genomes):
            raise ConfigError(f"the weight search needs 1 to 5 genomes with weights above 0, got: {self._recipe}.")
        self._space, self._settings = space, settings
        self._population = Population(settings)

    def _propose(self, step: int, rng: random.Random) -> list[Recipe]:
        if step == 0:
            return self._initial(rng)  # Alg. 1, line 13
        asked = [self._child(rng) or self._random(rng) for _ in range(self._settings.iterations_of(step))]  # Alg. 1, lines 14 to 17
        return [recipe for one in asked for recipe in one]

    def _initial(self, rng: random.Random) -> list[Recipe]:
        recipes = [recipe for recipe in self._known_points() if self._admit(recipe)]
        while len(recipes) < self._settings.population and (sample := self._random(rng)):
            recipes += sample
        return recipes

    def _known_points(self) -> list[Recipe]:
        genomes = self._recipe.genomes
        everything = [True] * len(genomes)
        features = [genome.knowledge.is_feature for genome in genomes]
        alone = [[genome is single for genome in genomes] for single in genomes]
        chosen = [everything, *([features] if any(features) else []), *alone]
        return [self._recipe.with_weights(genome.weight * keep for genome, keep in zip(genomes, kept, strict=True)) for kept in chosen]

    def _random(self, rng: random.Random) -> list[Recipe]:
        return self._fresh(lambda: self._recipe.with_weights(self._space.sample_weights(rng, len(self._recipe.genomes))))

    def _child(self, rng: random.Random) -> list[Recipe]:
        if not len(self._population):
            return []
        parents = [tuple(trial.recipe.weights.values()) for trial in self._population.parents(rng)]

        def draw() -> Recipe:
            crossed = self._space.crossover(rng.choice(parents), rng.choice(parents), rng)
            return self._recipe.with_weights(self._space.mutate_weights(crossed, rng))

        return self._fresh(draw)

    def _learn(self, step: int, trials: Sequence[Trial]) -> None:
        self._population.join(trials)
