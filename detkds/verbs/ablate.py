"""The paper's ablations at any budget: single losses (Table 11), search algorithms (Table 12, Figure 4), iterations (Table 13)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from detkds.errors import ConfigError
from detkds.genome import Knowledge, Recipe
from detkds.stages.plans import SearchPlan, WeightsPlan
from detkds.verbs import stage
from detkds.verbs.compare import Effort, Ground, ground, hold, publish
from detkds.verbs.races import markdown, show

if TYPE_CHECKING:
    from detkds.search.trial import Trial
    from detkds.stages.contest import Contest, Entry
    from detkds.stages.proxy import Proxy
    from detkds.stages.variants import Hunt, Searched

SINGLE_LOSSES, ALGORITHMS, ITERATIONS = "single-losses", "algorithms", "iterations"
KINDS = (SINGLE_LOSSES, ALGORITHMS, ITERATIONS)
Named = tuple[str, int, "Searched"]
"""Name of a search, its seed, what it found."""


def ablate(
    path: Path,
    kind: str,
    effort: Effort,
    *,
    recipe: str = "",
    only: Sequence[str] = (),
    iterations: Sequence[int] = (),
    home: Path,
    trust: bool,
    console: Console,
    out: Path | None,
) -> None:
    """Search, train with what was found, print the table, and publish it with the searches.

    Args:
        path: the run.yaml; its `search` is the budget of each search, its `train` that of each training.
        kind: one of KINDS.
        effort: how much.
        recipe: single-losses: the losses to train alone, see `entrants`; empty: search them.
        only: algorithms: names of variants; none: all.
        iterations: iterations: the values of T; none: half, three quarters and all of the run's, as in Table 13.
        home, trust: as of `detkds run`.
        console: gets progress and tables.
        out: the artifact; None: ablate/NAME-KIND below `home`.

    Raises:
        DetKDSError: something cannot be used; the message says which.
    """
    if kind not in KINDS:
        raise ConfigError(f"an ablation is one of {', '.join(KINDS)}, got {kind!r}.")
    with ground(path, home, trust, console) as made:
        contest = made.contest(effort)
        lab = Laboratory(made, contest, effort)
        if kind == SINGLE_LOSSES:
            entries, searches = lab.single_losses(recipe)
        elif kind == ALGORITHMS:
            entries, searches = lab.algorithms(only)
        else:
            entries, searches = lab.iterations(iterations)
        result = hold(made, contest, [*lab.references(), *entries], effort)
        publish(out or made.home / "ablate" / f"{made.name}-{kind}", result, console, _files(searches))
        if searches:
            console.print(show(searches))


def _files(searches: Sequence[Named]) -> dict[str, str]:
    found = [{"name": name, "seed": seed, **searched.to_json()} for name, seed, searched in searches]
    if not searches:
        return {}
    return {
        "searches.md": markdown(searches),
        "searches.json": json.dumps({"schema": "detkds.searches/1", "searches": found}, indent=1, allow_nan=False),
    }


@dataclass(frozen=True)
class Laboratory:
    """What the ablations share: a prepared run, and the searches that its budget allows."""

    ground: Ground
    contest: Contest
    effort: Effort

    def references(self) -> list[Entry]:
        """No distillation, without and with the teacher's neck and head."""
        from detkds.stages.comparison import INHERIT, NONE

        semantics = self.ground.values["semantics"]
        return [entry for name in (NONE, INHERIT) for entry in self._entries(name, Recipe(semantics=semantics), inherit=name == INHERIT)]

    def single_losses(self, text: str) -> tuple[list[Entry], list[Named]]:
        """Table 11: each loss alone, and all together."""
        searches: list[Named] = []
        if text:
            recipe = self._given(text)
        else:
            recipe, searches = self._searched()
        losses = [(str(genome.knowledge), Recipe((genome,), recipe.semantics)) for genome in recipe.active]
        every = [("all", recipe)] if text and len(losses) > 1 else []
        if searches:
            singles = searches[0][2].studies[: len(self._knowledges())]
            losses = [(study.name, study.best.recipe) for study in singles if study.best]
            every = [("all", recipe)]
        return [entry for name, one in [*losses, *every] for entry in self._entries(name, one)], searches

    def algorithms(self, only: Sequence[str]) -> tuple[list[Entry], list[Named]]:
        """Table 12: every variant of the search with every seed, at equal numbers of student steps."""
        from detkds.stages.variants import VARIANTS

        names = [variant.name for variant in VARIANTS]
        if unknown := [name for name in only if name not in names]:
            raise ConfigError(f"unknown variant {unknown[0]!r}: choose from {', '.join(names)}.")
        searches: list[Named] = []
        for seed in self.ground.seeds(self.effort):
            proxy = self._proxies(seed)
            for variant in VARIANTS:
                if not only or variant.name in only:
                    with self._told(variant.name, seed):
                        searches.append((variant.name, seed, self._hunt(seed).search(variant, proxy(variant.loss_filter))))
        searches.sort(key=lambda found: names.index(found[0]))  # stable: seeds stay in order
        return self._found(searches), searches

    def iterations(self, values: Sequence[int]) -> tuple[list[Entry], list[Named]]:
        """Table 13: Alg. 1 stopped after T iterations. One search of the largest T holds the others: its first 1 + P + 2T candidates."""
        from detkds.stages.variants import Searched

        whole = int(self.ground.values["iterations"])
        chosen = sorted(set(values or (whole // 2, 3 * whole // 4, whole)))
        searches: list[Named] = []
        for seed in self.ground.seeds(self.effort):
            hunt, proxy = self._hunt(seed), self._proxies(seed)(True)
            with self._told("iterations", seed):
                plan = replace(hunt.plan, iterations=chosen[-1])
                longest = [hunt.single(knowledge, plan, proxy) for knowledge in hunt.knowledges]
                for count in chosen:
                    cut = [replace(study, trials=study.trials[: 1 + plan.population + 2 * count]) for study in longest]
                    found = Searched((*cut, *hunt.weigh([study.trials for study in cut], proxy)))
                    searches.append((f"T={count}", seed, found))
        searches.sort(key=lambda found: int(found[0][2:]))
        return self._found(searches), searches

    def sample(self, genomes: int) -> tuple[Trial, ...]:
        """Random genomes, of the knowledges in turn, as the proxy scores them; no distillation first."""
        seed = int(self.ground.values["seed"])
        with self._told("sampling", seed):
            return self._hunt(seed).sample(genomes, self._proxies(seed)(True)).trials

    def _searched(self) -> tuple[Recipe, list[Named]]:
        """The search of Alg. 1 as the run has it."""
        from detkds.stages.variants import Searched

        seed = int(self.ground.values["seed"])
        hunt, proxy = self._hunt(seed), self._proxies(seed)(True)
        with self._told("search", seed):
            singles = [hunt.single(knowledge, hunt.plan, proxy) for knowledge in hunt.knowledges]
            found = Searched((*singles, *hunt.weigh([study.trials for study in singles], proxy)))
        return found.recipe, [("search", seed, found)]

    def _given(self, text: str) -> Recipe:
        from detkds.verbs.compare import chosen

        (entrant,) = chosen(self.ground, [text])
        missing = self.contest.unsupported()
        return Recipe(tuple(genome for genome in entrant.recipe.active if genome.knowledge not in missing), entrant.recipe.semantics)

    def _entries(self, name: str, recipe: Recipe, *, inherit: bool | None = None) -> list[Entry]:
        return [self._entry(name, recipe, seed, inherit) for seed in self.ground.seeds(self.effort)]

    def _found(self, searches: Sequence[Named]) -> list[Entry]:
        return [self._entry(name, searched.recipe, seed, None) for name, seed, searched in searches]

    def _entry(self, name: str, recipe: Recipe, seed: int, inherit: bool | None) -> Entry:
        from detkds.stages.contest import Entry

        return Entry(name, recipe, seed, bool(self.ground.values["inherit"]) if inherit is None else inherit)

    def _knowledges(self) -> tuple[Knowledge, ...]:
        missing = self.contest.unsupported()
        return tuple(Knowledge(name) for name in self.ground.values["searched"].split(",") if name not in missing)

    def _hunt(self, seed: int) -> Hunt:
        from detkds.stages.variants import Hunt

        values = self.ground.values
        plan = SearchPlan(**{name: values[name] for name in SearchPlan.__slots__})
        weights = WeightsPlan(values["weights_population"], values["weights_iterations"], early_stop=False)
        return Hunt(replace(plan, early_stop=False), weights, self._knowledges(), seed)

    def _proxies(self, seed: int) -> Callable[[bool], Proxy]:
        """One with the loss filter and one without, made when they are asked for."""
        from detkds.stages.variants import Remembering

        values = self.ground.values
        schedule = replace(stage.schedule(values, values["proxy_epochs"]), seed=seed)

        @cache
        def proxy(loss_filter: bool) -> Proxy:
            return Remembering(stage.pair(values), schedule, self.ground.subset, early_stop=False, loss_filter=loss_filter)

        return proxy

    @contextmanager
    def _told(self, name: str, seed: int) -> Iterator[None]:
        """Progress lines name the search; so does `detkds watch`."""
        from detkds.stages.task import RUN
        from detkds.stages.transcript import Transcript

        def show(line: str) -> None:
            task, _, text = line.partition("] ")
            self.ground.show(f"[{name} {seed}] {task.removeprefix('[')}: {text}")

        os.environ[RUN] = f"{self.ground.name}-{name}-{seed}"
        with Transcript(self.ground.home / "logs" / "compare.log", show):
            yield
