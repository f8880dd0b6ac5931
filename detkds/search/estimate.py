"""What candidates are worth, by a model that shares strength among them: the highest of many noisy scores is mostly luck.

A score is μ + Σ_g f(g) + noise over the recipe's genomes g. f is a Gaussian process of each kind of loss with the covariance

    σ² exp(-a · share of words that differ) exp(-(log10 w - log10 w')² / 2ℓ²)

so genomes with more words in common, and with nearer weights, are worth more nearly the same, and no loss is worth 0. Whatever the
neighbours do not confirm counts as noise. How much of the variance is noise, a and ℓ are averaged over a grid, each point weighed by its
restricted likelihood; nothing is optimised, so equal trials give equal estimates.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from detkds.genome import Genome, Recipe
from detkds.genome.genome import MAX_WEIGHT
from detkds.search.calibrated import form
from detkds.search.trial import ESTIMATE, Trial, TrialState

SIGNAL = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9)
"""Shares of the variance that are not noise; the noise never vanishes, because every training has some."""
DECAY = (0.5, 1.0, 2.0, 4.0)
REACH = (0.3, 0.7, 1.5)
"""ℓ in decades of the weight."""
OUTLIER = 3.0
"""Scores more (robust) standard deviations below the median count as that far: a student that collapsed would set the scale."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """What a candidate is worth.

    Args:
        mean: score in [0, 1].
        error: its standard deviation.
    """

    mean: float
    error: float


def estimates(trials: Sequence[Trial]) -> Mapping[str, Estimate]:
    """The estimate of each recipe with a score, by the recipe's digest. One whose validation was stopped enters with its bound, one that
    left at a rung with what it would have reached."""
    scored = [(trial, score) for trial in trials if (score := _measured(trial)) is not None]
    if not scored:
        return {}
    scores = _without_outliers(np.array([score for _, score in scored], dtype=float))
    first = {trial.recipe.digest: place for place, (trial, _) in reversed(list(enumerate(scored)))}
    if len(first) < 3 or not np.ptp(scores) > 0:
        spread = float(np.std(scores))
        return {name: Estimate(float(scores[place]), spread) for name, place in first.items()}
    means, errors = _average([_posterior(scores, *point) for point in _grid([trial.recipe for trial, _ in scored])])
    return {name: Estimate(float(means[place]), float(errors[place])) for name, place in first.items()}


def _measured(trial: Trial) -> float | None:
    return trial.details.get(ESTIMATE) if trial.state is TrialState.LEFT else trial.score


def _without_outliers(scores: Matrix) -> Matrix:
    middle = float(np.median(scores))
    spread = 1.4826 * float(np.median(np.abs(scores - middle)))
    return np.maximum(scores, middle - OUTLIER * spread) if spread > 0 else scores


def _grid(recipes: Sequence[Recipe]) -> list[tuple[Matrix, float]]:
    """Covariance of the recipes' worth, of mean variance 1, and the share of the variance that is no noise."""
    pairs = [(i, j, *_distance(one, other)) for i, j, one, other in _alike(_shared(recipes))]
    grid: list[tuple[Matrix, float]] = []
    for decay, reach in itertools.product(DECAY, REACH):
        covariance = np.zeros((len(recipes), len(recipes)))
        for i, j, words, decades in pairs:
            covariance[i, j] += math.exp(-decay * words - (decades / reach) ** 2 / 2)
        covariance /= max(float(np.mean(np.diag(covariance))), 1e-12)
        grid += [(covariance, signal) for signal in SIGNAL]
    return grid


def _alike(recipes: Sequence[Recipe]) -> list[tuple[int, int, Genome, Genome]]:
    """Pairs of genomes that compare the same thing, with the places of their recipes."""
    listed = [(place, genome) for place, recipe in enumerate(recipes) for genome in recipe.active]
    return [(i, j, one, other) for i, one in listed for j, other in listed if one.knowledge is other.knowledge]


def _distance(one: Genome, other: Genome) -> tuple[float, float]:
    """The share of words that differ, and how many decades lie between the weights."""
    ours, theirs = (tuple(genome.slots.values()) for genome in (one, other))
    differ = sum(a != b for a, b in zip(ours, theirs, strict=True)) + (one.background != other.background)
    differ += one.labelled != other.labelled
    return differ / len(ours), math.log10(one.weight / other.weight)


def _shared(recipes: Sequence[Recipe]) -> list[Recipe]:
    """The recipes with all weights in the units of their losses: a published weight, a factor, beside calibrated ones of the same loss."""
    units = {form(genome): genome.unit for recipe in recipes for genome in recipe.genomes if genome.unit != 1}
    if not units:
        return list(recipes)
    return [
        Recipe(tuple(_in_unit(genome, units.get(form(genome), 1.0)) for genome in recipe.active), recipe.semantics) for recipe in recipes
    ]


def _in_unit(genome: Genome, unit: float) -> Genome:
    weight = min(max(genome.factor / unit, 1 / MAX_WEIGHT), MAX_WEIGHT)
    return genome.with_weight(weight).with_unit(unit)


def _posterior(scores: Matrix, covariance: Matrix, signal: float) -> tuple[float, Matrix, Matrix]:
    """Log restricted likelihood, and mean and variance of every recipe's worth; the scale of the variance is its estimate."""
    count = len(scores)
    ones = np.ones(count)
    factor = cho_factor(signal * covariance + (1 - signal) * np.eye(count), lower=True)
    solved_ones = cho_solve(factor, ones)
    precision = float(ones @ solved_ones)
    level = float(solved_ones @ scores) / precision
    solved = cho_solve(factor, scores - level)
    scale = max(float((scores - level) @ solved) / (count - 1), 1e-12)
    likelihood = -0.5 * ((count - 1) * math.log(scale) + math.log(precision)) - float(np.log(np.diag(factor[0])).sum())
    shared = signal * covariance
    gain = cho_solve(factor, shared)
    rest = ones - gain.T @ ones
    variance = scale * (np.diag(shared) - np.einsum("ij,ij->j", shared, gain) + rest**2 / precision)
    return likelihood, level + shared @ solved, np.maximum(variance, 0.0)


def _average(points: Sequence[tuple[float, Matrix, Matrix]]) -> tuple[Matrix, Matrix]:
    """Mean and standard deviation over the grid."""
    likelihoods = np.array([point[0] for point in points])
    shares = np.exp(likelihoods - likelihoods.max())
    shares /= shares.sum()
    means, variances = (np.array([point[place] for point in points]) for place in (1, 2))
    mean = shares @ means
    return mean, np.sqrt(shares @ (variances + (means - mean) ** 2))
