"""The final race: the search's best candidates, the best known distillers and no distillation, trained longer and with several seeds.

One search on one small search-val ends with a winner that was lucky. So before the full training its best few are trained again, with
fresh seeds, beside known distillers. With one seed all share first weights, order of images and augmentations, so the comparison is paired:

    score of finalist e with seed s = α_e + β_s + noise

fitted by least squares over all trainings, with one variance of the noise for all finalists (a randomised block design). A finalist's gain
is α_e - α_0, where 0 is no distillation, and its interval takes Student's t with the remaining degrees of freedom. All finalists are
scored on the same images of search-val: the interval covers other seeds, not other images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # the same as scipy.stats.t.ppf, which takes most of a second to import

from detkds.genome import Recipe
from detkds.search.estimate import Estimate, estimates
from detkds.search.settings import KNOWN_RUNNERS
from detkds.search.trial import Trial

LEVEL = 0.9
"""Of the two-sided intervals that are shown."""
CHOICE = 0.5
"""Of the two-sided interval whose lower bound chooses: three times in four the gain is above it. A stricter bound throws away gains that
two or three seeds cannot prove, and no distillation loses more then (benchmarks/search/choice.py)."""
BASELINE = "no distillation"


@dataclass(frozen=True)
class Finalist:
    """One recipe of the race.

    Args:
        name: of a known distiller, `search N` of the N-th best candidate, or "no distillation".
        recipe: its losses.
        estimate: what the search thinks it is worth with the short training; None for what it did not measure.
    """

    name: str
    recipe: Recipe
    estimate: Estimate | None = None


@dataclass(frozen=True)
class Ranked:
    """Where a finalist stands.

    Args:
        finalist: see Finalist.
        scores: on search-val, in [0, 1], by seed; a finalist that could not keep up has fewer.
        mean: score in [0, 1], adjusted for the seeds that it lacks; nan where it has none.
        low, high: interval of the mean.
        gain, gain_low, gain_high: over no distillation, with its interval; nan where it cannot be known.
        bound: what it gains at least, three times in four; by this the race chooses.
        rejected: why it left, where it could not be trained.
        chosen: the student is trained with it.
    """

    finalist: Finalist
    scores: Mapping[int, float]
    mean: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    bound: float
    rejected: str = ""
    chosen: bool = False


def finalists(
    trials: Sequence[Trial], known: Mapping[str, Recipe], candidates: int, same: Callable[[Recipe], str] = lambda recipe: recipe.digest
) -> list[Finalist]:
    """Who runs: no distillation, the best known distillers and the search's best, in this order, by their estimates.

    Args:
        trials: of all studies, those of the known distillers included.
        known: known distillers by name.
        candidates: how many of the search's; fewer where it has fewer.
        same: equal for recipes that train alike; of these one runs.
    """
    found = estimates(trials)
    distillers = {same(recipe): name for name, recipe in reversed(list(known.items()))}
    semantics = next((trial.recipe.semantics for trial in trials), "paper")
    without = Recipe(semantics=semantics)
    ranked = sorted((trial.recipe for trial in trials if trial.score is not None), key=lambda recipe: -round(found[recipe.digest].mean, 6))
    effects = {same(recipe): recipe for recipe in reversed(ranked) if recipe.active}
    best = [effect for effect in dict.fromkeys(same(recipe) for recipe in ranked) if effect in effects]
    first = [effect for effect in best if effect in distillers][:KNOWN_RUNNERS]
    rest = [effect for effect in best if effect not in first][:candidates]
    names = {effect: f"search {place}" for place, effect in enumerate(rest, 1)} | distillers
    chosen = [Finalist(names[effect], _active(effects[effect]), found[effects[effect].digest]) for effect in (*first, *rest)]
    return [Finalist(BASELINE, without, found.get(without.digest)), *chosen]


def _active(recipe: Recipe) -> Recipe:
    return Recipe(recipe.active, recipe.semantics)


def leaderboard(runners: Sequence[Finalist], rounds: Sequence[Mapping[str, Trial]]) -> list[Ranked]:
    """The leaderboard, the chosen first, the rest by their means; those that could not be trained last.

    The chosen one has the highest `bound`; no distillation has gained 0 for certain, so it is chosen where no bound is above 0.

    Args:
        runners: as `finalists` gives them.
        rounds: one per seed, each finalist's trial by the digest of its recipe.
    """
    scores = {
        runner.name: {place: trials[runner.recipe.digest] for place, trials in enumerate(rounds) if runner.recipe.digest in trials}
        for runner in runners
    }
    reasons = {name: next((str(trial.reason) for trial in each.values() if trial.score is None), "") for name, each in scores.items()}
    measured = {
        name: {place: trial.score for place, trial in each.items() if trial.score is not None}
        for name, each in scores.items()
        if not reasons[name] and each
    }
    fit = _Fit(measured)
    found = [
        Ranked(
            runner,
            measured.get(runner.name, {}),
            *fit.mean(runner.name),
            *fit.gain(runner.name, BASELINE),
            fit.gain(runner.name, BASELINE, CHOICE)[1],
            reasons[runner.name],
        )
        for runner in runners
    ]
    best = max(found, key=lambda one: -math.inf if math.isnan(one.bound) or one.rejected else round(one.bound, 9))
    marked = [replace(one, chosen=one is best) for one in found]
    return sorted(marked, key=lambda one: (not one.chosen, bool(one.rejected), -one.mean if not math.isnan(one.mean) else math.inf))


def remaining(runners: Sequence[Finalist], rounds: Sequence[Mapping[str, Trial]]) -> list[Finalist]:
    """Who is trained with the next seed: no distillation, and all that could be trained and are not below the leader for certain."""
    if not rounds:
        return list(runners)
    table = {one.finalist.name: one for one in leaderboard(runners, rounds)}
    fit = _Fit({name: dict(one.scores) for name, one in table.items() if one.scores})
    leader = max((one for one in table.values() if one.scores), key=lambda one: one.mean).finalist.name
    left = []
    for runner in runners:
        one = table[runner.name]
        behind = len(rounds) > 1 and fit.gain(runner.name, leader)[2] < 0
        if runner.name == BASELINE or (len(one.scores) == len(rounds) and not behind):
            left.append(runner)
    return left


class _Fit:
    """Least squares of α_e + β_s, Σ β_s = 0."""

    def __init__(self, scores: Mapping[str, Mapping[int, float]]) -> None:
        self._names = list(scores)
        seeds = sorted({seed for each in scores.values() for seed in each})
        rows, values = [], []
        for place, each in enumerate(scores.values()):
            for seed, score in each.items():
                row = np.zeros(len(scores) + len(seeds))
                row[place] = row[len(scores) + seeds.index(seed)] = 1.0
                rows.append(row)
                values.append(score)
        level = np.concatenate([np.zeros(len(scores)), np.ones(len(seeds))])
        design, target = np.array([*rows, level]), np.array([*values, 0.0])
        self._inverse = np.linalg.pinv(design.T @ design)
        self._means = self._inverse @ design.T @ target
        self._freedom = len(values) + 1 - int(np.linalg.matrix_rank(design))
        rest = target - design @ self._means
        self._variance = float(rest @ rest) / self._freedom if self._freedom > 0 else math.nan

    def mean(self, name: str) -> tuple[float, float, float]:
        """A finalist's mean with its interval."""
        return self._interval(self._contrast(name)) if name in self._names else (math.nan,) * 3

    def gain(self, name: str, base: str, level: float = LEVEL) -> tuple[float, float, float]:
        """How far one finalist is above another, with the interval; exactly 0 over itself."""
        if name not in self._names or base not in self._names:
            return (math.nan,) * 3
        return self._interval(self._contrast(name) - self._contrast(base), level) if name != base else (0.0, 0.0, 0.0)

    def _contrast(self, name: str) -> NDArray[np.float64]:
        contrast = np.zeros(len(self._means))
        contrast[self._names.index(name)] = 1.0
        return contrast

    def _interval(self, contrast: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float, float]:
        value = float(contrast @ self._means)
        if self._freedom < 1:
            return value, math.nan, math.nan
        reach = float(stdtrit(self._freedom, (1 + level) / 2)) * math.sqrt(self._variance * float(contrast @ self._inverse @ contrast))
        return value, value - reach, value + reach
