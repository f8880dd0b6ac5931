"""Intervals and paired tests: resamples are COCO's evaluation of drawn images, and the intervals hold what they should."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_worlds import IMAGES, A, coco_example, detection, matches, truth, world

from detkds.evaluation import evaluate
from detkds.evaluation.bootstrap import interval, resampled, spread, two_sided_p, weights
from detkds.evaluation.found import Found
from detkds.evaluation.matching import Matches, Pairs
from detkds.evaluation.truth import Kind, Truth


def repeated(example: tuple[dict[str, Any], list[dict[str, Any]]], drawn: NDArray[np.int32]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The data set in which image i is there drawn[i] times."""
    ground_truth, detections = example
    copies = [(image, image * 100 + copy) for image, times in enumerate(drawn.tolist()) for copy in range(times)]

    def of_copies(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "image_id": new} for old, new in copies for row in rows if row["image_id"] == old]

    images = [{"id": new, "width": 100, "height": 100} for _, new in copies]
    return ground_truth | {"images": images, "annotations": of_copies(ground_truth["annotations"])}, of_copies(detections)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_drawing_each_image_once_is_coco(shared_data: Path, kind: Kind) -> None:
    example = coco_example(shared_data, kind)
    values = resampled(matches(*example, kind), np.ones((100, 1), np.int32))
    figures = evaluate(*example, kind=kind).figures
    assert values["AP"][0] == pytest.approx(figures["AP"], abs=1e-14)
    assert values["AP50"][0] == pytest.approx(figures["AP50"], abs=1e-14)


@pytest.mark.parametrize("seed", range(10))
def test_a_resample_is_coco_on_the_drawn_images(seed: int) -> None:
    example, drawn = world(seed, distinct=True), weights(IMAGES, 4, seed)
    values = resampled(matches(*example), drawn)
    for sample in range(4):
        figures = evaluate(*repeated(example, drawn[:, sample])).figures
        assert values["AP"][sample] == pytest.approx(figures["AP"], abs=1e-12, nan_ok=True)
        assert values["AP50"][sample] == pytest.approx(figures["AP50"], abs=1e-12, nan_ok=True)


def test_blocks_change_nothing(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, drawn = matches(*coco_example(shared_data, "bbox")), weights(100, 30, 0)
    whole = resampled(found, drawn)
    monkeypatch.setattr("detkds.evaluation.bootstrap._CELLS", 500)
    np.testing.assert_array_equal(resampled(found, drawn)["AP"], whole["AP"])


def test_weights_are_draws_with_replacement() -> None:
    drawn = weights(7, 500, 3)
    assert drawn.shape == (7, 500)
    assert (drawn.sum(axis=0) == 7).all()
    np.testing.assert_array_equal(drawn, weights(7, 500, 3))
    assert (drawn != weights(7, 500, 4)).any()
    assert drawn.mean(axis=1) == pytest.approx(np.ones(7), abs=0.2)
    assert weights(0, 5, 0).shape == (0, 5)


def test_a_class_outside_the_resample_is_left_out_by_hand() -> None:
    # Image 1: a cat found. Image 2: a dog missed. AP of (1, 1) is 1/2, of image 1 twice 1, of image 2 twice 0.
    found = matches(truth([(1, 1, A), (2, 2, A)]), [detection(1, 1, A, 0.9)])
    values = resampled(found, np.array([[1, 2, 0], [1, 0, 2]], np.int32))
    assert values["AP"] == pytest.approx([0.5, 1.0, 0.0])


def test_nothing_to_find_is_nan() -> None:
    values = resampled(matches(truth([]), []), weights(2, 5, 0))["AP"]
    assert np.isnan(values).all()
    assert all(map(math.isnan, (*spread(values), *interval(math.nan, values), two_sided_p(values))))


def test_interval_and_p_by_hand() -> None:
    # 0, .01 … 1: the quantiles .025 and .975 are .025 and .975, the mean is .5; around the figure .4 that is [-.075, .875], cut at 0.
    values = np.linspace(0, 1, 101)
    assert spread(values) == pytest.approx((0.025, 0.975))
    assert interval(0.4, values) == pytest.approx((0.0, 0.875))
    # Of 9 differences 2 are at most 0 and 8 at least 0 (one is 0): p = 2 · (1 + 2) / (1 + 9).
    assert two_sided_p(np.array([-1.0, 0, 1, 2, 3, 4, 5, 6, 7])) == pytest.approx(0.6)
    assert two_sided_p(np.array([1.0] * 999)) == pytest.approx(0.002)
    assert two_sided_p(np.zeros(9)) == 1.0


def simulated(seed: int, images: int, qualities: tuple[float, ...]) -> list[Matches]:
    """Detectors of two classes on the same random images, made as matches: the quality shifts how exact a box is (so at how many of the
    ten thresholds it is right) and, with it, its score; objects are hard for all of them alike."""
    draw = np.random.default_rng(seed)
    image = np.repeat(np.arange(images), draw.poisson(2, images))
    count, category = len(image), draw.integers(2, size=len(image))
    columns = Truth(tuple(range(images)), (0, 1), ("0", "1"), (None, None), np.zeros((images, 2), np.int64), image, category,
                    np.zeros((count, 4)), np.zeros(count), np.zeros(count, np.bool_), None)  # fmt: skip
    easy, result = draw.normal(0, 1, count), []
    for quality in qualities:
        exact = easy + quality + draw.normal(0, 1, count)
        false = np.repeat(np.arange(images), draw.poisson(2, images))
        score = np.concatenate([exact + draw.normal(0, 1, count), draw.normal(-1, 1, len(false))])
        images_of = np.concatenate([image, false])
        order = np.lexsort((-score, images_of))
        matched = np.full((11, len(order)), -1)
        matched[:, :count] = np.where(np.floor(2 * exact + 4) > np.arange(11)[:, None], np.arange(count), -1)
        found = Found(images_of, np.concatenate([category, draw.integers(2, size=len(false))]), score, np.zeros((len(order), 4)),
                      np.zeros(len(order)), None, np.arange(len(order)))  # fmt: skip
        nothing = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))
        result.append(Matches(columns, found.take(order), nothing, matched[:, order], np.zeros(matched.shape, np.bool_)))
    return result


def test_intervals_hold_the_truth_and_equal_detectors_are_seldom_told_apart() -> None:
    # 120 data sets of 80 images; the truth is what 20,000 images say. Of the 95 % intervals 114 should hold it; with 120 trials 104 or
    # fewer come up once in 30,000, and so do 15 or more false alarms where 6 are due.
    qualities, trials = (0.0, 0.3, 0.0), 120
    once = np.ones((20_000, 1), np.int32)
    a, b, _ = (resampled(one, once)["AP"][0] for one in simulated(0, 20_000, qualities))
    single = difference = alarms = gains = 0
    for trial in range(1, trials + 1):
        drawn, all_once = weights(80, 300, trial), np.ones((80, 1), np.int32)
        three = simulated(trial, 80, qualities)
        first, better, equal = (resampled(one, drawn)["AP"] for one in three)
        low, high = interval(resampled(three[0], all_once)["AP"][0], first)
        single += low <= a <= high
        low, high = spread(better - first)
        difference += low <= b - a <= high
        gains += two_sided_p(better - first) < 0.05
        alarms += two_sided_p(equal - first) < 0.05
    assert single >= 105
    assert difference >= 105
    assert alarms <= 14
    assert gains >= 60  # a gain of .06 AP is most often seen
