"""The local search itself: what it finds, and what it never does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from detkds.data.sampling.closeness import chi2
from detkds.data.sampling.exchange import draw

ALL = np.ones(40, dtype=bool)


def test_a_perfect_sample_is_found() -> None:
    """Ten images of each of four kinds, half wanted: the best sample has 5 of each."""
    counts = csr_matrix(np.repeat(np.eye(4, 6, dtype=np.int64) * [[1], [3], [2], [5]], 10, axis=0))
    inside = draw(counts, 20, ALL, np.random.default_rng(0))
    assert counts[inside].sum(axis=0).tolist() == [[5, 15, 10, 25, 0, 0]]


def test_large_sets_are_searched_to_the_nearest_whole_numbers() -> None:
    """2,000 images with 0 to 3 objects in each of 6 cells: no cell is an object away from its target of a quarter."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.4, (2000, 6)).astype(np.int64)
    inside = draw(csr_matrix(counts), 500, np.ones(2000, dtype=bool), rng)
    assert inside.sum() == 500
    assert (abs(counts[inside].sum(0) - counts.sum(0) / 4) < 1).all()


def test_only_images_of_the_pool_are_drawn_and_compared_with_the_whole() -> None:
    """Half of the whole's 40, 20 and 20 objects are 20, 10 and 10: all ten images of the pool with cell 1, five of cell 2's twos."""
    counts = np.zeros((40, 3), dtype=np.int64)
    counts[:, 0] = 1
    counts[:20, 1] = 1
    counts[20:30, 2] = 2
    inside = draw(csr_matrix(counts), 20, np.arange(40) >= 10, np.random.default_rng(0))
    assert not inside[:10].any()
    assert counts[inside].sum(0).tolist() == [20, 10, 10]


@pytest.mark.parametrize("seed", range(4))
def test_a_class_that_only_one_image_has_is_drawn_or_left(seed: int) -> None:
    counts = np.zeros((40, 6), dtype=np.int64)
    counts[:, 0] = 1
    counts[7, 3] = 1
    for leave, there in ((False, True), (True, False)):
        assert draw(csr_matrix(counts), 5, ALL, np.random.default_rng(seed), leave=leave)[7] == there


@pytest.mark.parametrize("seed", range(4))
def test_a_class_of_two_images_is_shared_with_what_is_left(seed: int) -> None:
    counts = np.zeros((40, 6), dtype=np.int64)
    counts[:, 0] = 1
    counts[[7, 9], 3] = 5
    inside = draw(csr_matrix(counts), 5, ALL, np.random.default_rng(seed), leave=True)
    assert inside[[7, 9]].sum() == 1


def test_classes_come_before_proportion() -> None:
    """30 images of class 1 and one of each of ten others; all eleven are in 11 images only with one of class 1.

    In proportion, t of 30 and of 1 is 30 x 11/40 = 8.25 and 11/40 = 0.275: (1 - 8.25)^2 / 8.25 + 10 (1 - 0.275)^2 / 0.275 = 25.5;
    with 8 of class 1 and three others 0.0 + 3 x 1.9 + 7 x 0.275 = 7.7.
    """
    counts = np.zeros((40, 33), dtype=np.int64)
    counts[10:, 0] = 1
    counts[:10, 3::3] = np.eye(10, dtype=np.int64)
    inside = draw(csr_matrix(counts), 11, ALL, np.random.default_rng(0))
    assert (counts[inside, 3:].sum(), counts[inside, 0].sum()) == (10, 1)
    live = counts.sum(0) > 0
    assert float(chi2(counts[inside].sum(0)[live].astype(float), counts.sum(0)[live].astype(float), 11 / 40)) == pytest.approx(
        25.5, abs=0.1
    )


@pytest.mark.parametrize("size", [0, 40])
def test_nothing_and_everything(size: int) -> None:
    counts = csr_matrix(np.ones((40, 3), dtype=np.int64))
    assert draw(counts, size, ALL, np.random.default_rng(0)).sum() == size
