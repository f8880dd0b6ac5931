"""How sure a figure is: bootstrap over images, with the matching done once.

A resample draws as many images as there are, with replacement; image i then weighs w_i = how often it was drawn. Which detection finds
which object does not depend on the other images, so a resample changes only how much each detection and object counts:

* AP needs precision only where a detection is right: between two right ones it falls, and the best precision at or after a recall is taken.
  So per class the weights of all detections are summed once between right ones, and everything else runs over the right ones.
* precision there = weight of right ones so far / weight of all so far (ignored ones left out), the best from the right counts.
* a right detection raises recall from r to r'; of the 101 recalls those in (r, r'] take its precision.

This equals COCO's evaluation of a data set in which image i is there w_i times (but for the order of equal scores); a class without an
object in the resample is left out of the mean. With all w_i = 1 it is COCO's AP itself.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detkds.evaluation.matching import COCO, Matches
from detkds.evaluation.ranking import RECALLS, Ranking, rankings

LEVEL = 0.95
_CELLS = 4_000_000
"""How many detections times resamples are in memory at once."""


def weights(images: int, samples: int, seed: int) -> NDArray[np.int32]:
    """(images, samples) how often each resample draws each image; the same for every detector, which makes comparisons paired."""
    draw = np.random.default_rng(seed)
    drawn = np.zeros((images, samples), np.int32)
    if not images:
        return drawn
    for sample in range(samples):
        drawn[:, sample] = np.bincount(draw.integers(images, size=images), minlength=images)
    return drawn


def resampled(matches: Matches, weights: NDArray[np.int32]) -> dict[str, NDArray[np.float64]]:
    """(S,) AP and AP50 of every resample, columns of the (I, S) weights; nan where it has no object."""
    total, classes = np.zeros((10, weights.shape[1])), np.zeros(weights.shape[1])
    for ranking in rankings(matches):
        block = max(1, _CELLS // (len(ranking.order) + 1))
        for start in range(0, weights.shape[1], block):
            columns = slice(start, start + block)
            objects = weights[:, columns][ranking.object_images].sum(axis=0)
            total[:, columns] += np.where(objects > 0, _precision(matches, ranking, weights[:, columns], objects), 0.0)
            classes[columns] += objects > 0
    with np.errstate(invalid="ignore"):  # 0 / 0 where no class has an object
        precision = total / classes
    return {"AP": precision.mean(axis=0), "AP50": precision[0]}


def spread(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval: what the middle `level` of the resamples reach; nan if all are. The interval of a difference."""
    values = values[~np.isnan(values)]
    if not values.size:
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def interval(figure: float, values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """The interval of one figure in [0, 1]: the percentile interval, shifted so that the mean of the resamples lies on the figure.

    AP of a resample is higher on average than that of the images, because it takes the best precision from a recall on and rare classes
    lean on few images drawn several times. With many classes and few images that bias reaches the width of the interval, and the plain
    interval then does not even hold the figure. In a difference of two detectors on the same images it cancels.

    In simulations intervals of 95 % held the AP of endless images in 94 % of 150 data sets of 100 images with 10 classes (plain: 92 %), but
    only in 82 % with 200 images and 40 classes, most of them rare (plain: 73 %): AP of so few objects is itself too high on average.
    """
    low, high = spread(values, level)
    if math.isnan(low):
        return low, high
    shift = figure - float(np.nanmean(values))
    return max(low + shift, 0.0), min(high + shift, 1.0)


def two_sided_p(differences: NDArray[np.float64]) -> float:
    """How surprising the resampled differences a − b would be if a and b were equally good: 2 · min(n≤, n≥) at most 1, where n≤ and n≥ are
    the shares (1 + count) / (1 + S) of resamples with a difference of at most, or at least, 0. It is the level at which the percentile
    interval just reaches 0, so p < .05 goes with a 95 % interval that does not hold 0; the smallest value is 2 / (S + 1)."""
    differences = differences[~np.isnan(differences)]
    if not differences.size:
        return math.nan
    tails = (np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return min(1.0, 2 * (1 + min(tails)) / (1 + differences.size))


def _precision(matches: Matches, ranking: Ranking, weights: NDArray[np.int32], objects: NDArray[np.int64]) -> NDArray[np.float64]:
    """(10, S) AP of one class at COCO's thresholds; anything where `objects`, the (S,) weight of the class's objects, is 0."""
    correct, ignored = matches.matched[COCO, ranking.order] >= 0, matches.ignored[COCO, ranking.order]
    right = np.flatnonzero(correct.any(axis=0))
    if not right.size:
        return np.zeros((10, weights.shape[1]))
    # (R, S) weight of all detections up to each one that is right at any threshold
    upto = np.add.reduceat(weights[ranking.image[: right[-1] + 1]], np.append(0, right[:-1] + 1), axis=0).cumsum(axis=0)
    rows = []
    for threshold in range(len(correct)):
        here = correct[threshold, right]
        seen, own = upto[here], weights[ranking.image[right[here]]].cumsum(axis=0)
        if ignored[threshold].any():
            seen = seen - _weight_before(np.flatnonzero(ignored[threshold]), right[here], ranking.image, weights)
        precision = own / np.maximum(seen, 1)
        envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        reached = np.searchsorted(RECALLS, own / np.maximum(objects, 1), side="right")
        rows.append((envelope * np.diff(reached, axis=0, prepend=0)).sum(axis=0) / len(RECALLS))
    return np.stack(rows)


def _weight_before(
    ignored: NDArray[np.int64], right: NDArray[np.int64], image: NDArray[np.int64], weights: NDArray[np.int32]
) -> NDArray[np.int64]:
    """(R, S) weight of the ignored detections before each right one; both are places in the ranking."""
    upto = np.zeros((len(ignored) + 1, weights.shape[1]), np.int64)
    np.cumsum(weights[image[ignored]], axis=0, out=upto[1:])
    return upto[np.searchsorted(ignored, right)]
