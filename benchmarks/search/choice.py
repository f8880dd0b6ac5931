"""What the choice of a search is worth, in a simulation: known true gains, known noise, equal cost.

    python benchmarks/search/choice.py --searches 200

A genome's true gain over no distillation has a standard deviation of one AP point over random genomes: half of its variance is a sum of
effects of its words and its weight, half of effects of pairs of these, which no model of words alone can know. Five known distillers are
each the best of five random genomes. A training shows the true gain with normal noise. All ways of choosing cost as many short trainings;
one of the final race counts twice, and is no less noisy. The *true* gain of what is chosen is what a user gets. Worlds are shared by all
ways, so differences are paired.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from statistics import fmean, stdev

from detkds.genome import Genome, Knowledge, Recipe
from detkds.search.budgets import DISTILLERS, LENGTH, RACES
from detkds.search.estimate import estimates
from detkds.search.evolution import Evolution
from detkds.search.race import BASELINE, finalists, leaderboard, remaining
from detkds.search.settings import KNOWN_RUNNERS, SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial, TrialState, best_of

BASE = 0.3
POINT = 0.01
TRIES = 5


@dataclass(frozen=True)
class World:
    """True gains, and the noise of a training in points."""

    seed: int
    noise: float

    def gain(self, recipe: Recipe) -> float:
        """In points; 0 without distillation."""
        return _gain(self.seed, str(recipe.active[0])) if recipe.active else 0.0

    def train(self, recipe: Recipe, seed: int, number: int = 0) -> Trial:
        """One training."""
        chance = random.Random(f"{self.seed}/{recipe}/{seed}").gauss(0, self.noise)
        return Trial(number, recipe, TrialState.COMPLETE, BASE + POINT * (self.gain(recipe) + chance))

    def known(self) -> dict[str, Recipe]:
        """Known distillers by name."""
        rng = random.Random(f"known/{self.seed}")
        space = SearchSpace.preset()
        drawn = [[Recipe((space.sample(rng, Knowledge.GLOBAL),)) for _ in range(TRIES)] for _ in range(DISTILLERS)]
        return {f"known {place}": max(recipes, key=self.gain) for place, recipes in enumerate(drawn)}


@cache
def _gain(world: int, text: str) -> float:
    genome = Genome.parse(text)
    parts = [*genome.slots.items(), ("weight", str(genome.weight))]
    pairs = list(combinations(parts, 2))
    single, double = (sum(_effect(world, str(part)) for part in every) / len(every) ** 0.5 for every in (parts, pairs))
    return (single + double) / 2**0.5


@cache
def _effect(world: int, what: str) -> float:
    return random.Random(f"{world}/{what}").gauss(0, 1)


def searched(world: World, trainings: int) -> list[Trial]:
    """Algorithm 1 for one knowledge; no distillation is the first trial."""
    designer = Evolution(SearchSpace.preset(), Knowledge.GLOBAL, SearchSettings(max(2, trainings // 3), 500, 0.9, 3), world.seed)
    trials = [world.train(Recipe(), 0)]
    while len(trials) < trainings and (asked := designer.ask()):
        told = [world.train(recipe, 0, len(trials) + place) for place, recipe in enumerate(asked)]
        designer.tell(told)
        trials += told
    return trials


Chosen = tuple[Recipe, float]
"""What is trained, and the gain that it promises, in points."""


def highest_score(world: World, trainings: int) -> Chosen:
    """The paper's choice."""
    best = best_of(searched(world, trainings))
    assert best is not None
    return best.recipe, ((best.score or 0.0) - BASE) / POINT


def highest_estimate(world: World, trainings: int) -> Chosen:
    """The same trials, and the model's choice."""
    trials = searched(world, trainings)
    found = estimates(trials)
    best = max(trials, key=lambda trial: found[trial.recipe.digest].mean)
    return best.recipe, (found[best.recipe.digest].mean - BASE) / POINT


def known_alone(world: World, trainings: int) -> Chosen:
    """All the money for the known distillers and no distillation, and the best mean."""
    recipes = [Recipe(), *world.known().values()]
    times = trainings // len(recipes)
    means = [fmean(world.train(recipe, seed).score or 0.0 for seed in range(times)) for recipe in recipes]
    best = max(range(len(recipes)), key=means.__getitem__)
    return recipes[best], (means[best] - BASE) / POINT


def race(world: World, trainings: int) -> Chosen:
    """A shorter search, and the final race of it and the known distillers."""
    candidates, seeds = next(one[1:] for one in RACES if trainings >= one[0])
    known = world.known()
    trials = searched(world, trainings - DISTILLERS - LENGTH * seeds * (1 + KNOWN_RUNNERS + candidates))
    runners = finalists([*trials, *(world.train(recipe, 0) for recipe in known.values())], known, candidates)
    rounds: list[Mapping[str, Trial]] = []
    for seed in range(1, seeds + 1):
        rounds.append({runner.recipe.digest: world.train(runner.recipe, seed) for runner in remaining(runners, rounds)})
    first = leaderboard(runners, rounds)[0]
    return first.finalist.recipe, first.gain if first.finalist.name == BASELINE else first.gain / POINT


WAYS: Mapping[str, Callable[[World, int], Chosen]] = {
    "highest score (the paper)": highest_score,
    "highest estimate": highest_estimate,
    "known distillers alone": known_alone,
    "estimates and final race": race,
}


def rows(searches: int) -> Iterator[str]:
    """Lines of the table."""
    for noise in (0.5, 1.0, 2.0):
        for trainings in (60, 120):
            worlds = [World(seed, noise) for seed in range(searches)]
            best = [max(0.0, *map(world.gain, world.known().values())) for world in worlds]
            first: list[float] = []
            for name, choose in WAYS.items():
                found = [choose(world, trainings) for world in worlds]
                true = [world.gain(recipe) for world, (recipe, _) in zip(worlds, found, strict=True)]
                first = first or true
                worse = fmean(mine < known - 0.5 for mine, known in zip(true, best, strict=True))
                promised = fmean(promise for _, promise in found)
                figures = f"{fmean(true):.2f} | {promised:.2f} | {100 * worse:.0f} % | {_against(true, first)} | {_against(true, best)}"
                yield f"| {noise} | {trainings} | {name} | {figures} |"


def _against(true: list[float], other: list[float]) -> str:
    differences = [one - another for one, another in zip(true, other, strict=True)]
    if not any(differences):
        return ""
    return f"{fmean(differences):+.2f} ± {1.96 * stdev(differences) / len(differences) ** 0.5:.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=200)
    print("| noise | trainings | choice | true gain | promised | over .5 below the best known | to highest score | to the best known |")
    print("|---:|---:|---|---:|---:|---:|---:|---:|")
    for line in rows(parser.parse_args().searches):
        print(line, flush=True)


if __name__ == "__main__":
    main()
