"""What it costs a search to ask several iterations of Alg. 1 at once, in a simulation: true gains and noise are known.

    python -m benchmarks.search.at_once --searches 200

The worlds are those of `bench.py`. Each search of one knowledge has (P, T, r, k) = (20, 20, 0.9, 5), so all rows measure 61 candidates with
no distillation. A round is the time of one candidate's training where each GPU trains one at a time.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from statistics import fmean

from benchmarks.search.bench import POINT, _against, gain, training
from detkds.genome import Knowledge
from detkds.search.evolution import Evolution
from detkds.search.settings import SearchSettings
from detkds.search.space import SearchSpace
from detkds.search.trial import Trial, TrialState, best_of

AT_ONCE = (1, 2, 4, 10, 20)
GPUS = (2, 8, 21)


@dataclass(frozen=True)
class Found:
    """The winner's true gain in points, and the sizes of the batches that were asked, no distillation in the first."""

    true: float
    batches: tuple[int, ...]

    def rounds(self, gpus: int) -> int:
        """Of a study on so many GPUs."""
        return sum(math.ceil(size / gpus) for size in self.batches)


def search(world: int, noise: float, at_once: int) -> Found:
    """One search."""
    designer = Evolution(SearchSpace.preset(), Knowledge.GLOBAL, SearchSettings(20, 20, 0.9, 5, at_once), world)
    objective = training(world, noise, 0)
    trials: list[Trial] = []
    batches = []
    while asked := designer.ask():
        goal = designer.goal()
        told = [
            Trial(len(trials) + place, recipe, TrialState.COMPLETE, objective(recipe, goal).score) for place, recipe in enumerate(asked)
        ]
        designer.tell(told)
        trials += told
        batches.append(len(asked))
    best = best_of(trials)
    assert best is not None
    return Found(gain(world, best.recipe) / POINT, (batches[0] + 1, *batches[1:]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=200)
    worlds = range(parser.parse_args().searches)
    print(f"| noise | iterations at once | true gain | to one at a time | {' | '.join(f'rounds, {count} GPUs' for count in GPUS)} |")
    print(f"|---:|---:|---:|---:|{'---:|' * len(GPUS)}")
    for noise in (0.5, 1.0, 2.0):
        one = [search(world, noise, 1).true for world in worlds]
        for at_once in AT_ONCE:
            found = [search(world, noise, at_once) for world in worlds]
            true = [each.true for each in found]
            rounds = " | ".join(str(found[0].rounds(count)) for count in GPUS)
            print(f"| {noise} | {at_once} | {fmean(true):.2f} | {_against(true, one)} | {rounds} |", flush=True)


if __name__ == "__main__":
    main()
