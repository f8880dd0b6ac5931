"""Random draws, the way COCO minitrain was made: what a local search has to beat."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import numpy as np
from scipy.sparse import csr_matrix

from detkds.data.sampling.closeness import chi2, criterion

DRAWS = 1000  # that a sample is compared with


@dataclass(frozen=True, slots=True)
class Restarts:
    """The best of many random draws.

    Args:
        draws: how many.
        criterion, chi2: the smallest of each; they may come from two draws.
    """

    draws: int
    criterion: float
    chi2: float

    def to_json(self) -> dict[str, float]:
        """Plain values, for a summary."""
        return asdict(self)


def restarts(counts: csr_matrix, size: int, rng: np.random.Generator, *, draws: int | None, seconds: float | None = None) -> Restarts:
    """Draw `size` images at random again and again.

    Args:
        counts: (N, M) objects per image and cell; every cell has some.
        size: images a draw, 1 to N.
        rng: the only source of chance.
        draws: at most so many, at least one; None for no limit.
        seconds: no draw but the first begins after so long; None for no limit.
    """
    cells, full = counts.T.tocsr().astype(np.float64), np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    images = counts.shape[0]
    least, done, began = np.array([np.inf, np.inf]), 0, time.perf_counter()
    while done == 0 or (done != draws and (seconds is None or time.perf_counter() - began < seconds)):
        chosen = np.zeros(images)
        chosen[rng.choice(images, size, replace=False)] = 1
        drawn = cells @ chosen
        least = np.minimum(least, (criterion(drawn, full), chi2(drawn, full, size / images)))
        done += 1
    return Restarts(done, float(least[0]), float(least[1]))
