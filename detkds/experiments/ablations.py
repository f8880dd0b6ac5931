"""What the ablations are made of: the searches that a run's budget allows, and the trainings of what they found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from detkds.errors import ConfigError
from detkds.experiments.prepared_run import Effort, PreparedRun, refusal
from detkds.genome import Genome, Knowledge, Recipe
from detkds.pipeline import stage
from detkds.pipeline.values import Values

if TYPE_CHECKING:
    from detkds.experiments.searches import Searched, VariantSearch
    from detkds.experiments.trainings import Entry, Trainings
    from detkds.pipeline.proxy import Proxy
    from detkds.search.trial import Trial

ALL = "all"
"""Name of the row with all losses together."""
Named = tuple[str, int, "Searched"]
"""Name of a search, its seed, what it found."""


@dataclass(frozen=True)
class Findings:
    """What is to be trained for an ablation.

    Args:
        entries: the trainings.
        searches: those that found their recipes.
        left_out: name of a loss or knowledge to why it is not among them.
    """

    entries: Sequence[Entry]
    searches: Sequence[Named] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ablations:
    """What the ablations share: a prepared run, where its students are trained, and how much is done."""

    prepared_run: PreparedRun
    trainings: Trainings
    effort: Effort

    def references(self) -> list[Entry]:
        """No distillation, without the teacher's neck and head, and with them where the student can inherit some."""
        from detkds.experiments.comparison import INHERIT, NONE

        semantics = self.prepared_run.values["semantics"]
        names = (NONE,) if self.prepared_run.nothing_inherited else (NONE, INHERIT)
        return [entry for name in names for entry in self._entries(name, Recipe(semantics=semantics), inherit=name == INHERIT)]

    def losses_of(self, recipe: Recipe) -> Findings:
        """Table 11 for a recipe: each of its losses alone, and all together.

        Raises:
            ConfigError: it has no loss that this pair can be trained with.
        """
        reasons = {genome: refusal(genome, self._missing) for genome in recipe.active}
        left_out = {_title(genome, recipe): reason for genome, reason in reasons.items() if reason}
        able = Recipe(tuple(genome for genome, reason in reasons.items() if not reason), recipe.semantics)
        if not able.genomes:
            told = "; ".join(f"{title}: {reason}" for title, reason in left_out.items()) or "it has none"
            raise ConfigError(f"single-losses needs a recipe with a loss that this pair can be trained with, but {told}; give another.")
        losses = {_title(genome, recipe): Recipe((genome,), recipe.semantics) for genome in able.genomes}
        return Findings(self._alone(losses, able if len(losses) > 1 else None), (), left_out)

    def single_losses(self) -> Findings:
        """Table 11: one search of Alg. 1 as the run has it; the best loss of each knowledge alone, and its recipe."""
        from detkds.experiments.searches import Searched

        seed = int(self.prepared_run.values["seed"])
        variant_search, proxy = self._variant_search(seed), self._proxies(seed)(True)
        with self._told("search", seed):
            singles = [variant_search.single(knowledge, variant_search.plan, proxy) for knowledge in variant_search.knowledges]
            found = Searched((*singles, *variant_search.weigh([study.trials for study in singles], proxy)))
        losses = {study.name: study.best_distilled.recipe for study in singles if study.best_distilled}
        nothing = {study.name: "no candidate could be trained" for study in singles if not study.best_distilled}
        return Findings(self._alone(losses, found.recipe), [("search", seed, found)], self._left_out | nothing)

    def algorithms(self, only: Sequence[str]) -> Findings:
        """Table 12: every variant of the search with every seed, at equal numbers of student steps; of VARIANTS `only` these."""
        from detkds.experiments.searches import VARIANTS

        names = [variant.name for variant in VARIANTS]
        searches: list[Named] = []
        for seed in self.prepared_run.seeds(self.effort):
            proxy = self._proxies(seed)
            for variant in VARIANTS:
                if not only or variant.name in only:
                    with self._told(variant.name, seed):
                        searches.append((variant.name, seed, self._variant_search(seed).search(variant, proxy(variant.loss_filter))))
        searches.sort(key=lambda found: names.index(found[0]))  # stable: seeds stay in order
        return self._found(searches)

    def iterations(self, values: Sequence[int]) -> Findings:
        """Table 13: Alg. 1 stopped after T iterations. One search of the largest T holds the others: its first 1 + P + 2T candidates."""
        from detkds.experiments.searches import Searched

        whole = int(self.prepared_run.values["iterations"])
        chosen = sorted(set(values or (whole // 2, 3 * whole // 4, whole)))
        searches: list[Named] = []
        for seed in self.prepared_run.seeds(self.effort):
            variant_search, proxy = self._variant_search(seed), self._proxies(seed)(True)
            with self._told("iterations", seed):
                plan = replace(variant_search.plan, iterations=chosen[-1])
                longest = [variant_search.single(knowledge, plan, proxy) for knowledge in variant_search.knowledges]
                for count in chosen:
                    cut = [replace(study, trials=study.trials[: 1 + plan.population + 2 * count]) for study in longest]
                    found = Searched((*cut, *variant_search.weigh([study.trials for study in cut], proxy)))
                    searches.append((f"T={count}", seed, found))
        searches.sort(key=lambda found: int(found[0][2:]))
        return self._found(searches)

    def sample(self, genomes: int) -> tuple[Trial, ...]:
        """Random genomes, of the knowledges in turn, as the proxy scores them; no distillation first."""
        seed = int(self.prepared_run.values["seed"])
        with self._told("sampling", seed):
            return self._variant_search(seed).sample(genomes, self._proxies(seed)(True)).trials

    def _alone(self, losses: Mapping[str, Recipe], every: Recipe | None) -> list[Entry]:
        rows = {**losses, **({ALL: every} if every else {})}
        return [entry for name, recipe in rows.items() for entry in self._entries(name, recipe)]

    def _found(self, searches: Sequence[Named]) -> Findings:
        return Findings([self._entry(name, searched.recipe, seed) for name, seed, searched in searches], searches, self._left_out)

    def _entries(self, name: str, recipe: Recipe, *, inherit: bool | None = None) -> list[Entry]:
        return [self._entry(name, recipe, seed, inherit) for seed in self.prepared_run.seeds(self.effort)]

    def _entry(self, name: str, recipe: Recipe, seed: int, inherit: bool | None = None) -> Entry:
        from detkds.experiments.trainings import Entry

        return Entry(name, recipe, seed, self.prepared_run.inherit if inherit is None else inherit)

    @cached_property
    def _missing(self) -> dict[Knowledge, str]:
        return self.trainings.unsupported()

    @property
    def _asked(self) -> list[Knowledge]:
        return [Knowledge(name) for name in self.prepared_run.values["searched"].split(",")]

    @property
    def _left_out(self) -> dict[str, str]:
        """Knowledges that the run searches, but that its pair cannot share, and why."""
        return {str(knowledge): self._missing[knowledge] for knowledge in self._asked if knowledge in self._missing}

    def _variant_search(self, seed: int) -> VariantSearch:
        from detkds.experiments.searches import VariantSearch

        knowledges = tuple(knowledge for knowledge in self._asked if knowledge not in self._missing)
        if not knowledges:
            told = "; ".join(f"{name}: {reason}" for name, reason in self._left_out.items())
            raise ConfigError(f"search.knowledge must name one that this pair can share, but {told}.")
        values = Values.read(self.prepared_run.values)
        # every candidate is trained and scored to the end, and asked as in the paper
        alike: dict[str, Any] = {"early_stop": False, "rungs": False, "iterations_at_once": 1}
        plan, weights = replace(values.search_plan, **alike), replace(values.weights_plan, **alike)
        return VariantSearch(plan, weights, knowledges, seed)

    def _proxies(self, seed: int) -> Callable[[bool], Proxy]:
        """One with the loss filter and one without, made when they are asked for."""
        from detkds.experiments.searches import Remembering

        values = self.prepared_run.values
        schedule = replace(Values.read(values).proxy, seed=seed)

        @cache
        def proxy(loss_filter: bool) -> Proxy:
            options = {"score": values["score"], "repeats": values["repeats"], "loss_filter": loss_filter}
            return Remembering(stage.pair(values), schedule, self.prepared_run.subset, early_stop=False, **options)

        return proxy

    @contextmanager
    def _told(self, name: str, seed: int) -> Iterator[None]:
        """Progress lines name the search; so does `detkds watch`."""
        from detkds.pipeline.task import RUN
        from detkds.pipeline.transcript import Transcript

        def show(line: str) -> None:
            task, _, text = line.partition("] ")
            self.prepared_run.show(f"[{name} {seed}] {task.removeprefix('[')}: {text}")

        os.environ[RUN] = f"{self.prepared_run.name}-{name}-{seed}"
        with Transcript(self.prepared_run.home / "logs" / "compare.log", show):
            yield


def _title(genome: Genome, recipe: Recipe) -> str:
    """A loss by its knowledge; where a recipe has several of one (FGD), with the attention that distinguishes them."""
    several = sum(other.knowledge is genome.knowledge for other in recipe.active) > 1
    return f"{genome.knowledge} {genome.slots['attention']}" if several else str(genome.knowledge)
