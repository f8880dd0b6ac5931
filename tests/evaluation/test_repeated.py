"""Differences over seeds and images, with the arithmetic written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from detkds.evaluation.repeated import Images, Repeat, gap, mean_and_spread

FLAT = np.array([0.0, 0.0, 0.0])


def repeat(ap: float, resampled: np.ndarray[Any, Any] = FLAT) -> Repeat:
    return Repeat({"AP": ap}, {"AP": resampled})


def test_images_that_do_not_matter_leave_students_t_over_seeds() -> None:
    """d = .10, .20, .30: mean .20, variance .01, standard error √(.01 / 3) = .057735; t(.975, 2) = 4.302653 → ± .248414.

    p = 2 P(t₂ > .2 / .057735 = 3.464102) = 1 − 3.464102 / √(2 + 12) = .074180."""
    found = gap([repeat(0.4), repeat(0.5), repeat(0.6)], [repeat(0.3)] * 3)
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.2 - 0.248414, 0.2 + 0.248414), abs=1e-6)
    assert found.p == pytest.approx(1 - 3.4641016 / math.sqrt(14), abs=1e-6)
    assert (found.seeds, found.error_images) == (3, 0.0)
    assert found.error_seeds == pytest.approx(math.sqrt(0.01 / 3))


def test_seeds_that_agree_leave_the_bootstrap_over_images() -> None:
    """Resamples of the difference, mean over two seeds: .0, .1, .2, variance .01, error .1; endless degrees: ± 1.959964 · .1."""
    ours, theirs = np.array([0.1, 0.3, 0.5]), np.array([0.1, 0.2, 0.3])
    found = gap([repeat(0.3, ours)] * 2, [repeat(0.2, theirs)] * 2)
    assert found.error_seeds == 0
    assert found.error_images == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((0.1 - 0.1959964, 0.1 + 0.1959964), abs=1e-6)


def test_both_variances_add_and_the_degrees_of_freedom_are_satterthwaites() -> None:
    """d = .0, .2: variance .02, over 2 seeds .01. Images: means of resamples −.1, .0, .1, variance .01. Sum .02, error .141421.

    Degrees of freedom 1 · (.02 / .01)² = 4, t(.975, 4) = 2.776445 → ± .392649."""
    moved = np.array([-0.1, 0.0, 0.1])
    found = gap([repeat(0.3, moved), repeat(0.5, moved)], [repeat(0.3)] * 2)
    assert (found.low, found.high) == pytest.approx((0.1 - 0.392649, 0.1 + 0.392649), abs=1e-6)


def test_resamples_are_paired_seed_by_seed() -> None:
    """What both detectors share in a resample falls out: the two differ by .1 in each."""
    shared = np.array([0.1, 0.5, 0.9])
    found = gap([repeat(0.6, shared + 0.1)] * 2, [repeat(0.5, shared)] * 2)
    assert found.error_images == pytest.approx(0)
    assert found.p == pytest.approx(0, abs=1e-6)


def test_one_seed_tells_about_images_only() -> None:
    found = gap([repeat(0.3, np.array([0.2, 0.3, 0.4]))], [repeat(0.3)])
    assert math.isnan(found.error_seeds)
    assert found.high == pytest.approx(0.1959964, abs=1e-6)
    assert found.to_json()["error_seeds"] is None


def test_nothing_differs() -> None:
    found = gap([repeat(0.3)] * 3, [repeat(0.3)] * 3)
    assert (found.low, found.high, found.p) == (0, 0, 1)


def test_mean_and_spread() -> None:
    """.2, .3, .4: mean .3, standard deviation √((.01 + .01) / 2) = .1."""
    assert mean_and_spread([repeat(0.2), repeat(0.3), repeat(0.4)], "AP") == pytest.approx((0.3, 0.1))
    assert math.isnan(mean_and_spread([repeat(0.2)], "AP")[1])


def test_images_measure_a_detector_as_coco_does() -> None:
    """Two images with one object each; one is found exactly: recall .5, so AP = 51 of 101 recalls."""
    boxes = [[0.0, 0.0, 20.0, 20.0], [5.0, 5.0, 20.0, 20.0]]
    truth = {
        "images": [{"id": 1, "width": 64, "height": 64}, {"id": 2, "width": 64, "height": 64}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": place, "image_id": place, "category_id": 1, "bbox": box, "area": 400.0, "iscrowd": 0}
            for place, box in enumerate(boxes, start=1)
        ],
    }
    found = Images(truth, samples=50).repeat([{"image_id": 1, "category_id": 1, "bbox": boxes[0], "score": 0.9}])
    assert found.figures["AP"] == pytest.approx(51 / 101)
    # a resample draws image 1 never, once or twice: AP 0, 51/101 or 1
    assert {round(value, 6) for value in found.resampled["AP"].tolist()} == {0.0, round(51 / 101, 6), 1.0}
