"""Optuna's tree-structured Parzen estimator (Bergstra et al., 2011) behind ask and tell."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from detkds.errors import ConfigError
from detkds.genome import Genome, Knowledge, Recipe
from detkds.objective import Goal
from detkds.search.designer import SingleSearch
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

INSTALL = "pip install 'detkds[optuna]'"


class TreeParzenSearch(SingleSearch):
    """Optuna's TPESampler with its defaults: words are categories, as is whether a loss is of labelled images alone; a weight, and that of
    background, is a place in its row.

    A sampler of Optuna keeps a generator that cannot be stored, so none outlives a step: each ask makes a sampler, seeded from
    (seed, knowledge, step) as every designer here, and gives it all earlier trials. So a replayed search continues exactly. Rejected
    candidates are passed as pruned without a value, which TPE ranks below all others.

    It starts from the same initial population as Evolution with this seed and asks as many candidates, but one at a time. A genome that
    was asked before is drawn again. Scores shape the estimator, so none may be a bound: the goal is always open.

    Args: as SingleSearch.

    Raises:
        ConfigError: also where optuna is not installed.
    """

    def __init__(
        self, space: SearchSpace, knowledge: Knowledge, settings: SearchSettings, seed: int, warm_start: Sequence[Genome] = ()
    ) -> None:
        super().__init__(space, knowledge, settings, seed, warm_start)
        try:
            import optuna
        except ModuleNotFoundError:
            raise ConfigError(f"search.algorithm tpe needs the package optuna, which is not installed: {INSTALL}") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._told: list[Trial] = []
        self._choices = space.choices(knowledge)

    def goal(self) -> Goal:
        """Open: every score is measured in full."""
        return Goal()

    def _propose(self, step: int, rng: random.Random) -> list[Recipe]:
        if step == 0:
            return self._initial(rng)
        if step > 2 * self._settings.iterations:
            return []
        study, distributions = self._study(rng.getrandbits(32)), self._distributions()
        return self._fresh(lambda: self._recipe(self._genome(study.ask(distributions).params))) or self._random(rng)

    def _learn(self, step: int, trials: Sequence[Trial]) -> None:
        self._told += trials

    def _study(self, seed: int) -> Study:
        import optuna

        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=1)  # the initial population was the random start
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.add_trials(list(self._frozen()))
        return study

    def _frozen(self) -> Iterator[FrozenTrial]:
        """What was told, but for warm starts that lie outside the space."""
        from optuna.trial import TrialState, create_trial

        distributions = self._distributions()
        for trial in self._told:
            genome = trial.recipe.genomes[0]
            if self._offers(genome):
                chosen = self._space.chosen(genome)
                params = {name: self._place(name, value) for name, value in chosen.items()}
                state = TrialState.PRUNED if trial.score is None else TrialState.COMPLETE
                yield create_trial(state=state, value=trial.score, params=params, distributions=distributions)

    def _offers(self, genome: Genome) -> bool:
        chosen = self._space.chosen(genome)
        return self._space.contains(genome) and all(value in self._choices[name] for name, value in chosen.items())

    def _distributions(self) -> dict[str, BaseDistribution]:
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return {
            name: IntDistribution(0, len(values) - 1) if _ordered(values) else CategoricalDistribution(values)
            for name, values in self._choices.items()
        }

    def _place(self, name: str, value: Any) -> Any:
        values = self._choices[name]
        return values.index(value) if _ordered(values) else value

    def _genome(self, params: dict[str, Any]) -> Genome:
        ordered = {name for name, values in self._choices.items() if _ordered(values)}
        chosen = {name: self._choices[name][value] if name in ordered else value for name, value in params.items()}
        return self._space.genome(self._knowledge, chosen)


def _ordered(values: Sequence[Any]) -> bool:
    """Whether the values are numbers in a row, and not words or yes and no."""
    return isinstance(values[0], float)
