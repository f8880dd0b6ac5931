"""A random start of a sample in which the rarest classes were placed first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from detkds.data.sampling.strata import SIZES

_FREE, _IN, _OUT = -1, 1, 0


def presence(counts: csr_matrix) -> csr_matrix:
    """(N, K) int64: 1 where an image has objects of a class, from (N, 3K) counts by class and size."""
    of_class = csr_matrix(
        (np.ones(len(counts.indices), dtype=np.int64), counts.indices // len(SIZES), counts.indptr.copy()),
        shape=(counts.shape[0], counts.shape[1] // len(SIZES)),
    )
    of_class.sum_duplicates()
    of_class.data[:] = 1
    return of_class


def covering_start(present: csr_matrix, size: int, pool: NDArray[np.bool_], rng: np.random.Generator, *, leave: bool) -> NDArray[np.bool_]:
    """Draw `size` images of a pool at random, after one of each class that was not there yet, the rarest first.

    Args:
        present: (N, K) which classes an image has.
        size: images to draw, at most the pool's.
        pool: (N,) the images that may be drawn.
        rng: the only source of chance.
        leave: place one image of each class outside first.

    Returns:
        (N,) which images are drawn.
    """
    side = np.full(len(pool), _FREE)
    room = {_IN: size, _OUT: int(pool.sum()) - size}
    by_class = present.tocsc()
    members = [np.sort(by_class.indices[begin:end]) for begin, end in zip(by_class.indptr, by_class.indptr[1:], strict=False)]
    members = [rows[pool[rows]] for rows in members]
    for rows in sorted(members, key=len):
        for wanted in (_OUT, _IN) if leave else (_IN,):
            free = rows[side[rows] == _FREE]
            if room[wanted] and len(free) and not (side[rows] == wanted).any():
                side[rng.choice(free)] = wanted
                room[wanted] -= 1
    left = rng.permutation(np.flatnonzero(pool & (side == _FREE)))
    side[left[: room[_IN]]] = _IN
    drawn: NDArray[np.bool_] = side == _IN
    return drawn
