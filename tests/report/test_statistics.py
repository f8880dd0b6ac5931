"""Importance of slots and agreement of orders, by hand."""

from __future__ import annotations

import math

import pytest

from detkds.report import ReportedStudy, ReportedTrial
from detkds.report.correlation import agreement
from detkds.report.importance import eta_squared, importances


def test_eta_squared_by_hand() -> None:
    # Scores 1, 3 | 5, 7 with mean 4: groups' means 2 and 6, between = 2 * 4 + 2 * 4 = 16, whole = 9 + 1 + 1 + 9 = 20.
    centred = [-3.0, -1.0, 1.0, 3.0]
    assert eta_squared([[0, 1], [2, 3]], centred) == pytest.approx(16 / 20)
    # Words that share their mean explain nothing, words of one candidate each explain all.
    assert eta_squared([[0, 3], [1, 2]], centred) == pytest.approx(0)
    assert eta_squared([[0], [1], [2], [3]], centred) == pytest.approx(1)


def search(scores: list[float | None]) -> ReportedStudy:
    words = [("none", "iou"), ("none", "giou"), ("pow2", "iou"), ("pow2", "giou"), ("sigmoid", "iou"), ("sigmoid", "giou")]
    return ReportedStudy(
        "localization",
        tuple(
            ReportedTrial(number, f"localization: {transform} | {distance}", score, "complete")
            for number, ((transform, distance), score) in enumerate(zip(words, scores, strict=False), 1)
        ),
    )


def test_importance_of_each_slot() -> None:
    # Means of none, pow2, sigmoid are .15, .35, .55 of mean .35: between = 2 * (.04 + 0 + .04) = .16; of iou and giou .3 and .4:
    # between = 6 * .0025 = .015; whole = .0625 + .0225 + .0025 + .0025 + .0225 + .0625 = .175.
    transform, distance = importances(search([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    assert (transform.slot, transform.words, transform.candidates) == ("transform", 3, 6)
    assert transform.share == pytest.approx(0.16 / 0.175)
    assert distance.share == pytest.approx(0.015 / 0.175)
    # Three pairs explain much by chance alone, two triples less.
    assert 0.5 < distance.chance < transform.chance < 1


def test_too_few_scores_have_no_importance() -> None:
    assert importances(search([0.1, 0.2])) == []
    assert importances(search([0.1, 0.1, 0.1, 0.1])) == []
    assert importances(search([0.1, None, None, 0.2])) == []


def test_agreement_by_hand() -> None:
    # Ranks 1 2 3 4 and 1 3 2 4: rho = 1 - 6 * (0 + 1 + 1 + 0) / (4 * 15) = .8; of 6 pairs 5 agree and 1 does not: tau = 4 / 6.
    found = agreement([0.1, 0.2, 0.3, 0.4], [1.0, 3.0, 2.0, 4.0])
    assert found.spearman == pytest.approx(0.8)
    assert found.kendall == pytest.approx(4 / 6)
    assert found.pearson == pytest.approx(0.8)
    assert agreement([1, 2, 3], [9, 5, 1]).spearman == pytest.approx(-1)


def test_equal_scores_share_their_rank() -> None:
    # Ranks 1.5 1.5 3 and 1 2 3: covariance (-.5)(-1) + (-.5)(0) + (1)(1) = 1.5, variances 1.5 and 2: 1.5 / sqrt(3).
    found = agreement([0.2, 0.2, 0.5], [1.0, 2.0, 3.0])
    assert found.spearman == pytest.approx(1.5 / math.sqrt(3))
    # Two pairs agree, one is tied in the first: 2 / sqrt(2 * 3).
    assert found.kendall == pytest.approx(2 / math.sqrt(6))


def test_constant_scores_agree_with_nothing() -> None:
    for found in (agreement([1, 1, 1], [1, 2, 3]), agreement([], []), agreement([1], [2])):
        assert math.isnan(found.spearman)
        assert math.isnan(found.kendall)
