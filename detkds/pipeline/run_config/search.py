"""The section `search`: Algorithm 1, what it searches and for how long."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from detkds.errors import ConfigError, GenomeError
from detkds.genome import Knowledge
from detkds.genome.presets import KNOWN_DISTILLERS, preset
from detkds.pipeline.run_config.section import Count, Fraction, Section
from detkds.pipeline.settings import COHORT, RacePlan
from detkds.search.budgets import is_time, plan

ONE_BY_ONE = ("mcts", "tpe")
"""Algorithms that ask one candidate at a time, chosen by all scores before it."""


class Weights(Section):
    """Budget of the second search, over the weights of the five losses (Alg. 1, lines 13-18)."""

    population: Count = 10
    iterations: Annotated[int, Field(ge=0)] = 40


class FinalRace(Section):
    """The race that ends a search: its best `candidates` (0: no race, the highest score wins, as in the paper) and known distillers."""

    candidates: Annotated[int, Field(ge=0, le=20)] = RacePlan().candidates
    seeds: Annotated[int, Field(ge=2, le=20)] = RacePlan().seeds
    epochs: Count | None = None
    known: tuple[str, ...] = KNOWN_DISTILLERS

    _presets = field_validator("known")(lambda value: known_presets(value))


class Search(Section):
    """Algorithm 1: what is searched and how long; each study on so many `nodes` of a cluster with Kubeflow Trainer."""

    knowledge: tuple[Knowledge, ...] = tuple(Knowledge)
    semantics: Literal["paper", "released", "sound"] = "paper"
    space: Literal["paper", "extended"] = "paper"
    weights_are: Literal["paper", "calibrated"] = "paper"
    algorithm: Literal["evolution", "random", "mcts", "tpe"] = "evolution"
    population: Count = 20
    iterations: Annotated[int, Field(ge=0)] = 20
    sample_ratio: Annotated[float, Field(gt=0, le=1)] = 0.9
    top_k: Count = 5
    weights: Weights = Weights()
    warm_start: tuple[str, ...] = ()
    score: Literal["ap", "loss"] = "ap"
    early_stop: bool = True
    subset: Annotated[float, Field(gt=0, le=1)] = 0.2
    search_val: Fraction = 0.04
    sizes: Literal["box", "mask"] = "box"
    crowd: Literal["ignore", "count", "exclude"] = "ignore"
    empty: Literal["share", "exclude"] = "share"
    proxy_epochs: Count = 1
    repeats: Annotated[int, Field(ge=1, le=10)] = 1
    cohort: Annotated[int, Field(ge=1, le=64)] = COHORT
    rungs: bool = False
    iterations_at_once: Annotated[int, Field(ge=1, le=64)] = 1
    final_race: FinalRace = FinalRace()
    budget: str = ""
    nodes: Count = 1

    _presets = field_validator("warm_start")(lambda value: known_presets(value))

    @model_validator(mode="before")
    @classmethod
    def _one_plan(cls, raw: Any) -> Any:
        """A budget plans what Algorithm 1's numbers say, so a file has either."""
        if isinstance(raw, dict) and raw.get("budget"):
            race: Any = raw.get("final_race")
            race = race if isinstance(race, dict) else {}
            given = [key for key in ("population", "iterations", "top_k", "weights", "repeats") if key in raw]
            given += [f"final_race.{key}" for key in ("candidates", "seeds") if key in race]
            if given:
                raise ValueError(f"`budget` plans {', '.join(given)}; leave out one of the two")
        return raw

    @model_validator(mode="after")
    def _can_be_paid(self) -> Search:
        try:
            if self.budget and not is_time(self.budget):
                plan(self.budget, len(self.knowledge))
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("search.budget: ")) from None
        return self

    def planned(self, training_s: float | None = None) -> Search:
        """The same search with the numbers that its budget allows; itself where it has none.

        Args:
            training_s: seconds of a candidate's training, for a budget that is a time.

        Raises:
            ConfigError: the budget is a time and `training_s` is not known, or it allows less than the least search.
        """
        if not self.budget:
            return self
        found = plan(self.budget, len(self.knowledge), training_s=training_s)
        weights = Weights(population=found.weights_population, iterations=found.weights_iterations)
        race = self.final_race.model_copy(update={"candidates": found.race_candidates, "seeds": found.race_seeds})
        numbers = {"population": found.population, "iterations": found.iterations, "top_k": found.top_k}
        return self.model_copy(update={**numbers, "weights": weights, "final_race": race, "budget": ""})

    @model_validator(mode="after")
    def _consistent(self) -> Search:
        if self.top_k > self.population:
            raise ValueError(f"`top_k <= population` must hold, but got top_k={self.top_k}, population={self.population}")
        if self.rungs and self.algorithm in ONE_BY_ONE:
            raise ValueError(
                f"with `algorithm: {self.algorithm}` no score may be missing, so candidates cannot leave at rungs; "
                "write `rungs: false`, or `algorithm: evolution`"
            )
        if self.iterations_at_once > 1 and self.algorithm in ONE_BY_ONE:
            raise ValueError(
                f"`algorithm: {self.algorithm}` asks one candidate at a time, each by all scores before it; "
                "write `iterations_at_once: 1`, or `algorithm: evolution` or `random`"
            )
        if self.subset + self.search_val > 1:
            raise ValueError(f"`subset + search_val <= 1` must hold, but got {self.subset} + {self.search_val}")
        return self


def known_presets(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of presets, each with a factor or without.

    Raises:
        ValueError: one is none.
    """
    for name in names:
        try:
            preset(name)
        except GenomeError as error:
            raise ValueError(str(error)) from None
    return names
