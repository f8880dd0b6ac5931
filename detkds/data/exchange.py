"""Stratified parts of a set of images: a start that covers every class, then exchanges that bring proportions closer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detkds.data.strata import SIZES

CANDIDATES = 128  # partners looked at for one exchange
MAX_TRIES = 20_000
MIN_IN_VAIN, IN_VAIN_AN_IMAGE = 100, 4  # tries in a row without gain that end the search
_COVER = 1e6  # a class missing from a part costs more than any imbalance


def stratify(counts: NDArray[np.int64], sizes: Sequence[int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal images to parts so that each part holds its share of every column, and of every class at least one image.

    The cost is chi-square over parts and columns, sum (x - t)^2 / max(t, 1), with t = column total x part size / N, and a
    surcharge for each class that a part lacks. Exchanges of two images between parts are taken while they lower it. Classes
    with fewer images than parts cannot be in all of them and are left where they fall.

    Args:
        counts: (N, 3K) objects an image.
        sizes: images a part; they add up to at most N. What is left over is in no part.
        rng: the only source of chance.

    Returns:
        (N,) the part of each image; len(sizes) for images in none.
    """
    state = _State(counts, (*sizes, len(counts) - sum(sizes)), rng)
    in_vain = 0
    for _ in range(MAX_TRIES):
        in_vain = 0 if state.try_exchange(rng) else in_vain + 1
        if in_vain >= max(MIN_IN_VAIN, IN_VAIN_AN_IMAGE * len(counts)):
            break
    return state.part


class _State:
    """A deal of the images and what it holds; the last part is the rest, whose proportions do not matter."""

    def __init__(self, counts: NDArray[np.int64], sizes: Sequence[int], rng: np.random.Generator) -> None:
        self.counts = counts.astype(np.float64)
        self.present = counts.reshape(len(counts), -1, len(SIZES)).sum(axis=2) > 0
        ours = np.arange(len(sizes)) < len(sizes) - 1
        self.needed = ours[:, None] & (self.present.sum(0) >= ours.sum())[None, :]  # (parts, K)
        self.part = _covering_start(self.present, self.needed, sizes, rng)
        target = np.array(sizes)[:, None] / len(counts) * self.counts.sum(0)
        self.weight = ours[:, None] / np.maximum(target, 1.0)  # (parts, 3K)
        self.excess = np.stack([self.counts[self.part == p].sum(0) for p in range(len(sizes))]) - target
        self.images = np.stack([self.present[self.part == p].sum(0) for p in range(len(sizes))])  # (parts, K)

    def try_exchange(self, rng: np.random.Generator) -> bool:
        """Draw an image, look at some partners in other parts, and exchange with the best if that lowers the cost; tells if so."""
        one = int(rng.integers(len(self.part)))
        others = rng.integers(len(self.part), size=CANDIDATES)
        others = others[self.part[others] != self.part[one]]
        if len(others) == 0:
            return False
        change = self._change(one, others)
        best = int(change.argmin())
        if change[best] >= -1e-9:
            return False
        self._exchange(one, int(others[best]))
        return True

    def _change(self, one: int, others: NDArray[np.int64]) -> NDArray[np.float64]:
        """(J,) change of the cost if `one` and each of `others` change places."""
        here, there = self.part[one], self.part[others]
        gain = self.counts[others] - self.counts[one]
        moved = self.present[others].astype(np.int64) - self.present[one]
        near = self.weight[here] * gain * (2 * self.excess[here] + gain)  # (e + g)^2 - e^2 = g (2 e + g)
        far = self.weight[there] * gain * (gain - 2 * self.excess[there])
        lacking = self._lacking(here, moved) + self._lacking(there, -moved)
        total: NDArray[np.float64] = near.sum(1) + far.sum(1) + _COVER * lacking
        return total

    def _lacking(self, part: NDArray[np.int64], moved: NDArray[np.int64]) -> NDArray[np.int64]:
        """(J,) classes that a part lacks after gaining `moved` images of each class, less those it lacks now."""
        now, after = self.images[part] == 0, self.images[part] + moved == 0
        more: NDArray[np.int64] = (self.needed[part] * (after.astype(np.int64) - now)).sum(1)
        return more

    def _exchange(self, one: int, other: int) -> None:
        here, there = self.part[one], self.part[other]
        gain = self.counts[other] - self.counts[one]
        moved = self.present[other].astype(np.int64) - self.present[one]
        self.excess[here] += gain
        self.excess[there] -= gain
        self.images[here] += moved
        self.images[there] -= moved
        self.part[one], self.part[other] = there, here


def _covering_start(
    present: NDArray[np.bool_], needed: NDArray[np.bool_], sizes: Sequence[int], rng: np.random.Generator
) -> NDArray[np.int64]:
    """A random deal in which the rarest classes were placed first, one image a part that lacks them."""
    part = np.full(len(present), -1)
    room = np.array(sizes)
    for of_class in np.argsort(present.sum(0), kind="stable"):
        for p in np.flatnonzero(needed[:, of_class]):
            free = np.flatnonzero(present[:, of_class] & (part < 0))
            if room[p] > 0 and len(free) and not present[part == p, of_class].any():
                part[rng.choice(free)] = p
                room[p] -= 1
    left = np.flatnonzero(part < 0)
    part[left] = rng.permutation(np.repeat(np.arange(len(sizes)), room))
    return part
