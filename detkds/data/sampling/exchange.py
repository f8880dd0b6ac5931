"""A stratified sample of images: a start that covers every class, then exchanges that bring proportions closer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from detkds.data.sampling.closeness import chi2, criterion
from detkds.data.sampling.cover import covering_start, presence

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Choice = Callable[["_Sample", "_Proposals"], int | None]  # the place of a gain in the proposals, or none

MAX_TRIES = 5_000
BEST, RANDOM = 64, 64  # images looked at on each side in one try: those that promise most, and some at random
ROUNDS = 8  # exchanges among the images of one try
IN_VAIN = 10  # tries in a row without gain that end a search
WEIGHED = 2**20  # counts looked at to compute criteria in one try: so many pairs of images, times the cells
SLACK = 1.5  # how far chi-square may rise above the least found, for the criterion's sake
_COVER = 1e6  # a class lacking costs more than any imbalance
_DECIMALS = 9  # smaller gains are rounding errors


def draw(counts: csr_matrix, size: int, pool: NDArray[np.bool_], rng: np.random.Generator, *, leave: bool = False) -> NDArray[np.bool_]:
    """Draw `size` images from a pool so that the sample holds its share of every cell of the whole, and every class it can.

    First exchanges of an image of the sample with one outside are taken while they lower chi-square: of the images that promise most
    by the gradient and of some random ones, all pairs are looked at, the best pair is exchanged, and so on up to 8 times; then others
    are looked at. After that exchanges are taken that lower COCO minitrain's criterion, or chi-square at the same criterion, as long
    as chi-square stays below 1.5 times the least found. That classes are there comes before proportion: no exchange makes the sample
    lack more of them.

    Args:
        counts: (N, 3K) objects per image of the whole; only images with objects.
        size: images to draw, 1 to the size of the pool.
        pool: (N,) the images that may be drawn.
        rng: the only source of chance.
        leave: also keep an image of every class outside, for a second sample; a class with one image stays outside.

    Returns:
        (N,) which images are in the sample.
    """
    sample = _Sample(counts, covering_start(presence(counts), size, pool, rng, leave=leave), pool, leave)
    if 0 < size < pool.sum():
        _improve(sample, 1 / sample.target, _lower_chi2, rng)
        sample.bound = SLACK * sample.chi2 + 10.0**-_DECIMALS
        _improve(sample, 1 / sample.target**2, _lower_criterion, rng)
    return sample.inside


class _Sample:
    """A sample, what it holds, and what it should hold."""

    def __init__(self, counts: csr_matrix, inside: NDArray[np.bool_], pool: NDArray[np.bool_], leave: bool) -> None:
        live = np.asarray(counts.sum(axis=0)).ravel() > 0
        self.counts = counts[:, live].astype(np.float64)
        self.present = presence(counts)
        self.inside, self.leave, self.bound = inside, leave, np.inf
        self.sides = np.flatnonzero(inside), np.flatnonzero(pool & ~inside)
        self.full = np.asarray(self.counts.sum(axis=0)).ravel()
        self.share = inside.sum() / len(inside)
        self.target = self.share * self.full
        self.held = np.asarray(self.counts[inside].sum(axis=0)).ravel()
        self.images = [np.asarray(self.present[side].sum(axis=0)).ravel() for side in self.sides]  # of each class, inside and outside

    @property
    def chi2(self) -> float:
        return float(chi2(self.held, self.full, self.share))

    @property
    def closeness(self) -> tuple[float, float]:
        """Criterion and chi-square, without rounding errors."""
        return round(float(criterion(self.held, self.full)), _DECIMALS), round(self.chi2, _DECIMALS)

    def lacking(self) -> tuple[Floats, Floats, Floats]:
        """(K,) what each class of an image adds to the classes lacking when the image leaves, when one comes, and what it adds less if
        the two share the class. A class lacking outside counts double where one must be left there, so that a single image stays."""
        inside, outside = self.images
        there, outer = inside + outside > 0, 2.0 * self.leave
        last, last_outside = there & (inside == 1), there & (outside == 1)
        leaving = last - outer * (there & (outside == 0))
        coming = outer * last_outside - (there & (inside == 0))
        return leaving, coming, last + outer * last_outside

    def exchange(self, leaving: int, coming: int) -> None:
        """Exchange the image at place `leaving` of those inside with that at place `coming` of those outside."""
        ins, outs = self.sides
        one, other = int(ins[leaving]), int(outs[coming])
        moved = (self.present[other] - self.present[one]).toarray().ravel()
        self.held += (self.counts[other] - self.counts[one]).toarray().ravel()
        self.images = [self.images[0] + moved, self.images[1] - moved]
        self.inside[one], self.inside[other] = False, True
        ins[leaving], outs[coming] = other, one


class _Proposals(NamedTuple):
    """Exchanges of each of A images inside with each of B outside: places, (A, B) change of cost, (A, B) classes lacking more."""

    leaving: Rows
    coming: Rows
    change: Floats
    lacking: Floats


def _improve(sample: _Sample, weight: Floats, choose: Choice, rng: np.random.Generator) -> None:
    """Exchange while `choose` finds a gain; proposals are ranked by classes lacking, then by the sum of weight x (held - target)^2."""
    square = sample.counts.multiply(sample.counts) @ weight
    in_vain = 0
    for _ in range(MAX_TRIES):
        places, gains = _shortlist(sample, weight, square, rng), 0
        while gains < ROUNDS and (pair := choose(sample, proposals := _weighed(sample, weight, square, places))) is not None:
            one, other = divmod(pair, len(proposals.coming))
            sample.exchange(int(proposals.leaving[one]), int(proposals.coming[other]))
            gains += 1
        in_vain = 0 if gains else in_vain + 1
        if in_vain >= IN_VAIN or (not gains and all(len(side) <= BEST + RANDOM for side in sample.sides)):
            break


def _shortlist(sample: _Sample, weight: Floats, square: Floats, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Places inside and outside worth looking at: those that promise the largest fall of the cost, and some at random."""
    slope = 2 * (sample.counts @ (weight * (sample.held - sample.target)))
    alone = [(square - slope)[sample.sides[0]], (square + slope)[sample.sides[1]]]
    for side, change, lack in zip(sample.sides, alone, sample.lacking(), strict=False):
        if lack.any():
            change += _COVER * (sample.present @ lack)[side]
    ins, outs = (_candidates(change.round(_DECIMALS), rng) for change in alone)
    return ins, outs


def _weighed(sample: _Sample, weight: Floats, square: Floats, places: tuple[Rows, Rows]) -> _Proposals:
    """What each exchange between the places changes, exactly."""
    ins, outs = sample.sides[0][places[0]], sample.sides[1][places[1]]
    leaving, coming = sample.counts[ins], sample.counts[outs]
    slope = 2 * weight * (sample.held - sample.target)
    cross = 2 * (leaving.multiply(weight) @ coming.T).toarray()
    change = (square[ins] - leaving @ slope)[:, None] + (square[outs] + coming @ slope) - cross
    lack_leaving, lack_coming, shared = sample.lacking()
    without, with_ = sample.present[ins], sample.present[outs]
    lacking = (without @ lack_leaving)[:, None] + with_ @ lack_coming - (without.multiply(shared) @ with_.T).toarray()
    return _Proposals(*places, change.round(_DECIMALS), lacking)


def _candidates(change: Floats, rng: np.random.Generator) -> Rows:
    """Places of the images that promise the largest fall, and of some others; of all where they are few."""
    if len(change) <= BEST + RANDOM:
        return np.arange(len(change))
    ranked = np.argpartition(change, BEST)
    return np.concatenate([ranked[:BEST], rng.choice(ranked[BEST:], RANDOM, replace=False)])


def _lower_chi2(sample: _Sample, proposals: _Proposals) -> int | None:
    cost = proposals.change + _COVER * proposals.lacking
    best = int(cost.argmin())
    return best if cost.flat[best] < 0 else None


def _lower_criterion(sample: _Sample, proposals: _Proposals) -> int | None:
    few = min(WEIGHED // len(sample.full), proposals.change.size)
    best = np.argpartition((proposals.change + _COVER * proposals.lacking).ravel(), few - 1)[:few]
    one, other = np.divmod(best, len(proposals.coming))
    ins, outs = sample.sides[0][proposals.leaving], sample.sides[1][proposals.coming]
    held = sample.held + sample.counts[outs].toarray()[other] - sample.counts[ins].toarray()[one]
    after = np.stack([criterion(held, sample.full), chi2(held, sample.full, sample.share)], axis=1).round(_DECIMALS)
    after[(after[:, 1] > sample.bound) | (proposals.lacking.flat[best] > 0)] = np.inf
    first = int(np.lexsort((after[:, 1], after[:, 0]))[0])
    return int(best[first]) if tuple(after[first].tolist()) < sample.closeness else None
