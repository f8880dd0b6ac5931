"""What rungs save of a search, and what they cost it, in a simulation: true gains, noise, and the correlation of rung and end are known.

    python -m benchmarks.search.racing --searches 200

The worlds are those of `bench.py`; a training shows a true gain with normal noise of half a point, and its score at a rung is its score at
the end with further noise, so that both correlate as the table says. Each search of one knowledge has (P, T, r, k) = (20, 20, 0.9, 5).
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from statistics import fmean

from benchmarks.search.bench import BASE, POINT, _against, gain
from detkds.genome import Knowledge, Recipe
from detkds.objective import Goal, Outcome
from detkds.search.evolution import Evolution
from detkds.search.rungs import racing
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial, TrialState, best_of

SETTINGS = SearchSettings(population=20, iterations=20, sample_ratio=0.9, top_k=5)
NOISE = 0.5
"""Of a training, in points; true gains have a standard deviation of one."""


@dataclass(frozen=True)
class Found:
    """One search: the winner, its true gain in points, shares of the candidates that left, of the steps that were done, and validations at
    rungs per candidate."""

    winner: Recipe
    true: float
    left: float
    steps: float
    validations: float


def measure(world: int, correlation: float, recipe: Recipe, goal: Goal) -> Outcome:
    """One training; its steps are shares of a whole one, in thousandths."""
    score = BASE + gain(world, recipe) + random.Random(f"{world}/{recipe}").gauss(0, NOISE * POINT)
    blur = POINT * (1 + NOISE**2) ** 0.5 * (1 / correlation**2 - 1) ** 0.5
    rungs: dict[str, float] = {}
    for rung in goal.rungs:
        there = rungs[str(rung.share)] = score + random.Random(f"{world}/{recipe}/{rung.share}").gauss(0, blur)
        if rung.forecast is not None and rung.behind(there):
            return Outcome(rung.forecast.expected(there), int(1000 * rung.share), left=str(rung.share), rungs=rungs)
    return Outcome(score, 1000, rungs=rungs)


def search(world: int, correlation: float, *, rungs: bool) -> Found:
    """One search."""
    designer = racing(Evolution(SearchSpace.preset(), Knowledge.GLOBAL, SETTINGS, world), rungs=rungs)
    trials: list[Trial] = []
    outcomes: list[Outcome] = []
    while asked := designer.ask():
        goal = designer.goal()
        measured = [measure(world, correlation, recipe, goal) for recipe in asked]
        told = [
            Trial(len(trials) + place, recipe, TrialState.LEFT if one.left else TrialState.COMPLETE, None if one.left else one.score,
                  rungs=one.rungs)
            for place, (recipe, one) in enumerate(zip(asked, measured, strict=True))
        ]  # fmt: skip
        designer.tell(told)
        trials += told
        outcomes += measured
    best = best_of(trials)
    assert best is not None
    return Found(
        best.recipe,
        gain(world, best.recipe) / POINT,
        fmean(bool(one.left) for one in outcomes),
        fmean(one.student_steps / 1000 for one in outcomes),
        fmean(len(one.rungs) for one in outcomes),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=200)
    count = parser.parse_args().searches
    plain = [search(world, 1.0, rungs=False) for world in range(count)]
    print(f"Without rungs the winner's true gain is {fmean(one.true for one in plain):.2f} points.\n")
    print(
        "| correlation of a rung with the end | left | steps | validations at rungs, per candidate | same winner | true gain, to no rungs |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    for correlation in (0.3, 0.5, 0.7, 0.9, 0.97):
        raced = [search(world, correlation, rungs=True) for world in range(count)]
        same = fmean(one.winner == other.winner for one, other in zip(raced, plain, strict=True))
        left, steps, validations = (fmean(getattr(one, name) for one in raced) for name in ("left", "steps", "validations"))
        against = _against([one.true for one in raced], [one.true for one in plain])
        print(f"| {correlation} | {left:.0%} | {steps:.0%} | {validations:.2f} | {same:.0%} | {against} |", flush=True)


if __name__ == "__main__":
    main()
