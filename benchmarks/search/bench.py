"""What repeating candidates is worth to a search, in a simulation: known true gains, known noise, equal numbers of trainings.

    python benchmarks/search/bench.py --searches 200

A genome's true gain is a sum of normal effects of its words and its weight, with a standard deviation of one AP point over random genomes;
a training shows it with normal noise. Each search of one knowledge (P = 10, k = 3) is cut where its trainings are spent; the *true*
gain of its winner is what a user gets. Seeds are shared by all settings, so the differences are paired.
"""

from __future__ import annotations

import argparse
import random
from functools import cache
from statistics import fmean, stdev

from detkds.genome import Knowledge, Recipe
from detkds.objective import Goal, Objective, Outcome
from detkds.search.evolution import Evolution
from detkds.search.repeated import Repeated
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial, TrialState, best_of

BASE = 0.3
POINT = 0.01
SETTINGS = SearchSettings(population=10, iterations=200, sample_ratio=0.9, top_k=3)


def gain(world: int, recipe: Recipe) -> float:
    """True gain of a recipe of one genome, in AP of [0, 1]: four or five effects whose variances add up to one point's."""
    (genome,) = recipe.active
    parts = [*genome.slots.items(), ("weight", str(genome.weight))]
    return POINT * sum(_effect(world, slot, word) for slot, word in parts) / len(parts) ** 0.5


@cache
def _effect(world: int, slot: str, word: str) -> float:
    return random.Random(f"{world}/{slot}/{word}").gauss(0, 1)


def training(world: int, noise: float, seed: int) -> Objective:
    """One training with one seed: the true gain and its noise."""

    def measure(recipe: Recipe, goal: Goal) -> Outcome:
        chance = random.Random(f"{world}/{recipe}/{seed}").gauss(0, noise * POINT)
        return Outcome(BASE + gain(world, recipe) + chance, student_steps=1)

    return measure


def search(world: int, objective: Objective, trainings: int) -> tuple[float, float]:
    """The winner's true gain, and the gain that its score promised, in points."""
    designer = Evolution(SearchSpace.preset(), Knowledge.GLOBAL, SETTINGS, world)
    trials: list[Trial] = []
    spent = 0
    while spent < trainings and (asked := designer.ask()):
        told = []
        for recipe in asked:
            outcome = objective(recipe, designer.goal())
            spent += outcome.student_steps
            told.append(Trial(len(trials) + len(told), recipe, TrialState.COMPLETE, outcome.score, partial=outcome.partial))
        designer.tell(told)
        trials += told
    best = best_of(trials)
    assert best is not None
    return gain(world, best.recipe) / POINT, ((best.score or 0.0) - BASE) / POINT


def row(noise: float, repeats: int, trainings: int, searches: int) -> tuple[list[float], list[float]]:
    """True and promised gains of many searches."""

    def objective(world: int) -> Objective:
        return Repeated([training(world, noise, seed) for seed in range(repeats)])

    found = [search(world, objective(world), trainings) for world in range(searches)]
    return [true for true, _ in found], [promised for _, promised in found]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=200)
    count = parser.parse_args().searches
    print("| noise of a training, points | trainings | repeats | true gain | promised gain | against one training each |")
    print("|---:|---:|---:|---:|---:|---:|")
    for noise in (0.5, 1.0, 2.0):
        for trainings in (30, 60, 120):
            once, _ = row(noise, 1, trainings, count)
            for repeats in (1, 2, 3, 5):
                true, promised = row(noise, repeats, trainings, count)
                means = f"{fmean(true):.2f} | {fmean(promised):.2f}"
                print(f"| {noise} | {trainings} | {repeats} | {means} | {_against(true, once)} |", flush=True)


def _against(true: list[float], once: list[float]) -> str:
    differences = [one - other for one, other in zip(true, once, strict=True)]
    if not any(differences):
        return ""
    error = 1.96 * stdev(differences) / len(differences) ** 0.5
    return f"{fmean(differences):+.2f} ± {error:.2f}"


if __name__ == "__main__":
    main()
