"""Designer: what decides which candidates come next. Ask and tell, pure, seeded; input and output are elsewhere."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from detkds.errors import ConfigError, DetKDSError
from detkds.genome import Genome, Knowledge, Recipe
from detkds.objective import Goal
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial, best_of

_DRAWS = 200
"""How often a candidate that was seen before is drawn again. In a space of 7 with one left, 200 draws miss it once in 10^13 times."""


class Designer(Protocol):
    """The contract between a search and the study that drives it."""

    def ask(self) -> Sequence[Recipe]:
        """Candidates that may be measured in parallel; empty when the search is over. The same until `tell`."""

    def goal(self) -> Goal:
        """When the validation of the candidates last asked may stop early."""

    def tell(self, trials: Sequence[Trial]) -> None:
        """The trials of the last ask, in its order."""

    @property
    def best(self) -> Trial | None:
        """The best trial so far."""


class StepwiseDesigner(ABC):
    """Asks one batch a step. The random stream of step i comes from (seed, name, i) alone, so a replay continues identically.

    Args:
        seed: of the study.
        name: of the stream: the knowledge, or "weights".
    """

    def __init__(self, seed: int, name: str) -> None:
        self._seed, self._name = seed, name
        self._step = 0
        self._asked: tuple[Recipe, ...] | None = None
        self._seen: set[str] = set()
        self._best: Trial | None = None

    def ask(self) -> Sequence[Recipe]:
        """Candidates of this step; the same until `tell`; empty when the search is over or the space is exhausted."""
        if self._asked is None:
            rng = random.Random(f"{self._seed}/{self._name}/{self._step}")
            self._asked = tuple(self._propose(self._step, rng))
        return self._asked

    def tell(self, trials: Sequence[Trial]) -> None:
        """The trials of the last ask, in its order.

        Raises:
            DetKDSError: they are not the trials of the last ask.
        """
        asked = self._asked or ()
        if not asked or tuple(trial.recipe for trial in trials) != asked:
            raise DetKDSError(
                f"tell takes the trials of the last ask: expected {len(asked)} trials of its recipes in its order, got {len(trials)}."
            )
        self._learn(self._step, trials)
        self._best = best_of([self._best, *trials] if self._best else trials)
        self._step += 1
        self._asked = None

    @property
    def best(self) -> Trial | None:
        """The best trial so far, the earlier of equals; None where none had a score."""
        return self._best

    @abstractmethod
    def goal(self) -> Goal:
        """When the validation of the candidates last asked may stop early."""

    @abstractmethod
    def _propose(self, step: int, rng: random.Random) -> Iterable[Recipe]:
        """The candidates of a step; none: the search is over."""

    @abstractmethod
    def _learn(self, step: int, trials: Sequence[Trial]) -> None:
        """Process the trials of a step."""

    def _fresh(self, draw: Callable[[], Recipe]) -> list[Recipe]:
        """One recipe whose canonical form was not asked before, in a list; empty where drawing again and again finds none."""
        for _ in range(_DRAWS):
            if self._admit(recipe := draw()):
                return [recipe]
        return []

    def _admit(self, recipe: Recipe) -> bool:
        """True, once, for each canonical form."""
        fresh = recipe.digest not in self._seen
        self._seen.add(recipe.digest)
        return fresh


class SingleSearch(StepwiseDesigner):
    """What searches of one knowledge share: the space and the initial population.

    Args:
        space: where genomes come from.
        knowledge: the one that is searched.
        settings: Alg. 1's (P, T, r, k).
        seed: of the study.
        warm_start: genomes that open the initial population, at most P; they may lie outside the space.

    Raises:
        ConfigError: too many warm starts, or one of another knowledge.
        GenomeError: the space's semantics does not offer a word of a warm start.
    """

    def __init__(
        self, space: SearchSpace, knowledge: Knowledge, settings: SearchSettings, seed: int, warm_start: Sequence[Genome] = ()
    ) -> None:
        super().__init__(seed, str(knowledge))
        if len(warm_start) > settings.population:
            raise ConfigError(f"`len(warm_start) <= population` must hold, but got {len(warm_start)} and {settings.population}.")
        for genome in warm_start:
            if genome.knowledge is not knowledge:
                raise ConfigError(f"the {knowledge} search is warm-started with {knowledge} genomes, got `{genome}`.")
        self._space, self._knowledge, self._settings = space, knowledge, settings
        self._warm_start = [self._recipe(genome) for genome in warm_start]

    def _recipe(self, genome: Genome) -> Recipe:
        return Recipe((genome,), self._space.semantics)

    def _random(self, rng: random.Random) -> list[Recipe]:
        """Alg. 1, line 8."""
        return self._fresh(lambda: self._recipe(self._space.sample(rng, self._knowledge)))

    def _initial(self, rng: random.Random) -> list[Recipe]:
        """Alg. 1, line 2: warm starts, then random samples; no two of one canonical form."""
        recipes = [recipe for recipe in self._warm_start if self._admit(recipe)]
        while len(recipes) < self._settings.population and (sample := self._random(rng)):
            recipes += sample
        return recipes
