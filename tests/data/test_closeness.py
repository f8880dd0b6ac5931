"""COCO minitrain's criterion and chi-square by hand, and random draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from detkds.data.sampling.closeness import chi2, criterion, ratios
from detkds.data.sampling.restarts import restarts


def test_ratios_by_hand() -> None:
    """Of 2, 6, 8 objects in all, 1, 1, 2 are drawn: shares 1/4, 1/4, 1/2 over 1/8, 3/8, 1/2 are 2, 2/3, 1."""
    counts, full = np.array([1.0, 1.0, 2.0]), np.array([2.0, 6.0, 8.0])
    assert ratios(counts, full).tolist() == pytest.approx([2, 2 / 3, 1])
    assert float(criterion(counts, full)) == pytest.approx(2 - 2 / 3)


def test_minitrains_own_number_is_the_criterion_times_the_share_of_objects() -> None:
    """minitrain: largest less smallest of c / f, here 1/2 - 1/6 = 1/3; the sample has 4 of 16 objects: 4/3 x 4/16 = 1/3."""
    counts, full = np.array([1.0, 1.0, 2.0]), np.array([2.0, 6.0, 8.0])
    own = (counts / full).max() - (counts / full).min()
    assert float(criterion(counts, full)) * counts.sum() / full.sum() == pytest.approx(own) == pytest.approx(1 / 3)


def test_chi2_by_hand() -> None:
    """A quarter of 4, 8 is 1, 2; with 2, 2 drawn: (2 - 1)^2 / 1 + 0 = 1; with 0, 3: 1 + 1/2."""
    full = np.array([4.0, 8.0])
    assert chi2(np.array([[2.0, 2.0], [0.0, 3.0]]), full, 0.25).tolist() == pytest.approx([1, 1.5])


def test_a_sample_without_objects_has_no_share() -> None:
    assert ratios(np.zeros(2), np.array([1.0, 3.0])).tolist() == [0, 0]


def test_the_best_random_draw_is_found_among_few() -> None:
    """Two of four images: the cells (1, 0), (0, 1), (1, 0), (0, 1) are drawn evenly in 4 of 6 ways."""
    counts = csr_matrix(np.array([[1, 0], [0, 1], [1, 0], [0, 1]]))
    best = restarts(counts, 2, np.random.default_rng(0), draws=50)
    assert (best.draws, best.criterion, best.chi2) == (50, 0.0, 0.0)
    assert restarts(counts, 2, np.random.default_rng(0), draws=None, seconds=0.0).draws == 1


def test_random_draws_get_better_with_their_number() -> None:
    counts = csr_matrix(np.random.default_rng(0).poisson(0.5, (200, 12)))
    few, many = (restarts(counts, 40, np.random.default_rng(1), draws=draws) for draws in (5, 200))
    assert many.criterion < few.criterion
    assert many.chi2 < few.chi2
