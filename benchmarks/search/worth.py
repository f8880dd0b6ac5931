"""What a search is worth: the student that each way of choosing a recipe ends with, at equal numbers of student steps.

usage: python -m benchmarks.search.worth run.yaml OUT.jsonl [--home DIR] [--seeds 0,1,2,3,4] [--ways search,...] [--jobs 2]
       [--score loss] [--searches-only] [--embedded-s3]

Ways, each with the images, the short trainings and the search space of run.yaml:

* `search`: what `detkds run` does. Alg. 1 for each knowledge from warm starts, the weights, the final race. It comes first, and the steps
  that it takes are the budget of the others;
* `algorithm-1`: the paper's. No warm start, no race, the highest score is the winner; more iterations for what the race would cost;
* `random`: as many random genomes, the highest score is the winner;
* `presets`: every known distiller gets a short training, and the best four of them as many seeds of the race as the budget pays for.

A seed is that of the search, of its short trainings and of the full training that follows; the split into search-train and search-val is
the same for all. With one seed all full trainings have the same first weights, order and augmentations, so ways are compared in pairs.
Every line of OUT is one search, written when it has ended; those that are there are not made again, nor are full trainings.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from scipy.stats import t as student_t

from detkds.experiments.searches import Remembering, Searched, Variant, VariantSearch
from detkds.experiments.trainings import Entry, Trainings
from detkds.genome import Knowledge, Recipe
from detkds.genome.presets import parse_recipe
from detkds.objective import Goal
from detkds.pipeline.race import epochs, race
from detkds.pipeline.run import Run
from detkds.pipeline.values import Values
from detkds.search.study import Study
from detkds.search.trial import Trial, TrialState

WAYS = ("search", "algorithm-1", "random", "presets")
PRESETS = ("fitnets", "pkd x 1", "pkd x 5", "pkd", "cwd x 1", "cwd", "skd", "detkds-one-stage")
FIXED = ("no distillation", "fitnets", "pkd x 5", "pkd", "cwd")
"""Trained in full beside what the ways choose."""


class Bench:
    """One pair on one subset, with one seed of search and training."""

    def __init__(self, values: Mapping[str, Any], subset: Path, seed: int) -> None:
        self.told = Values.read({**values, "seed": seed, "work": ""})
        self.seed, self.schedule, self.final = seed, self.told.proxy, self.told.race_plan
        self.proxy = cache(lambda schedule: Remembering(self.told.pair, schedule, subset, early_stop=False, score=self.told.score))
        self.short = self.proxy(self.schedule)
        asked = map(Knowledge, self.told.searched.split(","))
        self.knowledges = tuple(each for each in asked if self.short.unsupported(each) is None)

    def chosen(self, way: str, budget: int) -> tuple[Recipe, int]:
        """The recipe that a way chooses with so many student steps, and how many it took."""
        if way == "search":
            return self._search()
        return self._presets(budget) if way == "presets" else self._plain(way, budget)

    def _search(self) -> tuple[Recipe, int]:
        searching = VariantSearch(self.told.search_plan, self.told.weights_plan, self.knowledges, self.seed)
        singles = [searching.single(knowledge, searching.plan, self.short) for knowledge in self.knowledges]
        found = Searched((*singles, *searching.weigh([study.trials for study in singles], self.short)))
        trials = [trial for study in found.studies for trial in study.trials if not trial.borrowed]
        known = {self.short.identify(trial.recipe): trial for trial in trials if trial.score is not None}
        raced = race(self.final, self.schedule, trials, known, lambda: self.short, self.proxy, workers=1)
        return raced.recipe, _steps((*found.studies, *(each.study for each in raced.studies)))

    def _plain(self, way: str, budget: int) -> tuple[Recipe, int]:
        searching = VariantSearch(replace(self.told.search_plan, warm_start=""), self.told.weights_plan, self.knowledges, self.seed)
        plan, weights = searching.plan, searching.weights
        single, last = plan.population + 2 * plan.iterations, weights.population + weights.iterations
        more = budget / self._steps_of_short / (single * len(self.knowledges) + last)
        plan = replace(plan, iterations=max(0, round((single * more - plan.population) / 2)))
        weights = replace(weights, iterations=max(0, round(last * more) - weights.population))
        variant = Variant(way, "random" if way == "random" else "evolution")
        found = replace(searching, plan=plan, weights=weights).search(variant, self.short)
        return found.recipe, _steps(found.studies)

    def _presets(self, budget: int) -> tuple[Recipe, int]:
        without = Recipe(semantics=self.told.semantics)
        score = self.short(without, Goal()).score
        longer = self._steps_of_short * epochs(self.final, self.schedule) / self.schedule.epochs
        seeds = max(1, math.floor((budget - (1 + len(PRESETS)) * self._steps_of_short) / (5 * longer)))
        plan = replace(self.final, candidates=2, seeds=seeds, known=",".join(PRESETS))  # two known ones run beside two candidates
        start = Trial(0, without, TrialState.COMPLETE, score=score)
        raced = race(plan, self.schedule, [start], {}, lambda: self.short, self.proxy, workers=1)
        return raced.recipe, _steps(each.study for each in raced.studies)

    @property
    def _steps_of_short(self) -> int:
        return self.short(Recipe(semantics=self.told.semantics), Goal()).student_steps


def _steps(studies: Iterable[Study]) -> int:
    return sum(study.counts.student_steps for study in studies)


def table(scores: Mapping[str, Mapping[int, float]], steps: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """Markdown: test AP in points of each way, and what the first way gains over it, in pairs of seeds."""
    first = scores[WAYS[0]]
    yield "| way | steps of choosing | test AP, seed by seed | mean | `search` over it, 95 % |"
    yield "|---|---:|---|---:|---|"
    for name, own in scores.items():
        seeds = sorted(own.keys() & first.keys())
        if not seeds:
            continue
        points = [100 * own[seed] for seed in seeds]
        gains = [100 * (first[seed] - own[seed]) for seed in seeds]
        cost = f"{statistics.mean(steps[name]):.0f}" if steps.get(name) else ""
        gain = "" if name == WAYS[0] else _interval(gains)
        yield f"| {name} | {cost} | {', '.join(f'{point:.1f}' for point in points)} | {statistics.mean(points):.1f} | {gain} |"


def _interval(values: Sequence[float]) -> str:
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:+.1f}"
    reach = float(student_t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:+.1f} ({mean - reach:+.1f} to {mean + reach:+.1f})"


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_yaml", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--home", type=Path, default=Path(".detkds"))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--score", choices=("ap", "loss"), help="instead of the score of run.yaml; another OUT for each")
    parser.add_argument("--searches-only", action="store_true")
    parser.add_argument("--embedded-s3", action="store_true", help="for the demo, whose data is in its own store")
    given = parser.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    with Run.open(given.run_yaml, home=given.home, embedded_s3=given.embedded_s3, console=Console(stderr=True)) as opened:
        values, subset = {**opened.values, **({"score": given.score} if given.score else {})}, opened.subset
        for seed in seeds:
            _search(Bench(values, subset, seed), given.ways.split(","), given.out)
        if given.searches_only:
            return
        told = Values.read(values)
        rows = [row for row in _rows(given.out) if row["seed"] in seeds]
        chosen = [Entry(row["way"], Recipe.from_json(row["recipe_json"]), row["seed"], told.inherit) for row in rows]
        fixed = [
            Entry(name, Recipe(semantics=told.semantics) if name == FIXED[0] else parse_recipe(name, told.semantics), seed, told.inherit)
            for name in FIXED
            for seed in seeds
        ]
        entries = [*chosen, *fixed]
        trials = Trainings(told.pair, told.training, subset).run(entries, jobs=given.jobs, show=lambda line: print(line, flush=True))
    scores: dict[str, dict[int, float]] = {name: {} for name in (*WAYS, *FIXED)}
    for entry in entries:
        score = trials[entry.id].score
        if score is not None:
            scores[entry.name][entry.seed] = score
    print("\n".join(table(scores, {way: [row["steps"] for row in rows if row["way"] == way] for way in WAYS})))


def _search(bench: Bench, ways: Sequence[str], out: Path) -> None:
    budget = 0
    for way in ways:
        before = [row for row in _rows(out) if (row["way"], row["seed"]) == (way, bench.seed)]
        if before:
            budget = budget or before[0]["steps"]
            continue
        recipe, steps = bench.chosen(way, budget)
        budget = budget or steps
        row = {"way": way, "seed": bench.seed, "steps": steps, "recipe": str(recipe), "recipe_json": recipe.to_json()}
        with out.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        print(way, bench.seed, steps, str(recipe).replace("\n", "; "), flush=True)


def _rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


if __name__ == "__main__":
    main()
