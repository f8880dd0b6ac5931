"""Distances of features and logits, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

import detkds.losses  # noqa: F401 - attaches the functions
from detkds.genome import Knowledge
from detkds.genome.words import find


def of_features(word: str, semantics: str = "paper"):
    return find(Knowledge.GLOBAL, "distance", word).function(semantics)


def of_logits(word: str, semantics: str = "paper"):
    return find(Knowledge.LOGITS, "distance", word).function(semantics)


def row(*values: float) -> torch.Tensor:
    """One sample, one channel, one row."""
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def classes(*values: float) -> torch.Tensor:
    """One sample, one position."""
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)


def test_l1_is_the_mean_of_differences():
    assert float(of_features("l1")(row(1, 2, 3), row(2, 4, 0), None)) == pytest.approx((1 + 2 + 3) / 3)


def test_l2_is_the_mean_of_squares_without_a_root():
    assert float(of_features("l2")(row(1, 2, 3), row(2, 4, 0), None)) == pytest.approx((1 + 4 + 9) / 3)


def test_smooth_l1_is_quadratic_below_one():
    # 0.5 -> 0.5 * 0.25; 3 -> 3 - 0.5
    assert float(of_features("smooth_l1")(row(0, 0), row(0.5, 3), None)) == pytest.approx((0.125 + 2.5) / 2)


@pytest.mark.parametrize(("word", "expected"), [("l1", (3 * 1 + 1 * 2) / 4), ("l2", (3 * 1 + 1 * 4) / 4)])
def test_positions_count_by_their_weight(word: str, expected: float):
    # differences 1, 2, 3 with weights 3, 1, 0
    loss = of_features(word)(row(1, 2, 3), row(2, 4, 0), row(3, 1, 0))
    assert float(loss) == pytest.approx(expected)


def test_weights_are_shared_by_the_channels_of_a_position():
    student, teacher = torch.zeros(1, 2, 1, 2), torch.tensor([[[[1.0, 5.0]], [[3.0, 7.0]]]])
    # position 0: mean of 1 and 3; position 1 does not count
    assert float(of_features("l1")(student, teacher, row(0.5, 0))) == pytest.approx(2)


def test_cosine_is_one_minus_the_cosine_over_channels():
    # between (1, 0) and (1, 1): 45 degrees
    assert float(of_features("cosine")(classes(1, 0), classes(1, 1), None)) == pytest.approx(1 - math.sqrt(0.5), abs=1e-5)
    # opposite vectors
    assert float(of_features("cosine")(classes(1, 2), classes(-3, -6), None)) == pytest.approx(2, abs=1e-5)


def test_kl_compares_softmaxes_over_positions():
    # S: (1/2, 1/2), T: (1/4, 3/4): KL(T || S) = 1/4 ln 1/2 + 3/4 ln 3/2
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert float(of_features("kl")(row(0, 0), row(0, math.log(3)), None)) == pytest.approx(expected, rel=1e-5)


def test_pearson_is_one_minus_the_correlation_over_positions():
    # (1, 2, 3) against (1, 3, 2): deviations (-1, 0, 1) and (-1, 1, 0), correlation 1 / 2
    assert float(of_features("pearson")(row(1, 2, 3), row(1, 3, 2), None)) == pytest.approx(0.5, rel=1e-5)
    # a positive affine map is perfectly correlated
    assert float(of_features("pearson")(row(1, 2, 3), row(10, 30, 50), None)) == pytest.approx(0, abs=1e-5)


def test_the_released_pearson_runs_over_channels():
    loss = of_features("pearson", "released")(classes(1, 2, 3), classes(1, 3, 2), None)
    assert float(loss) == pytest.approx(0.5, rel=1e-5)


def test_ssim_of_two_pixels():
    # Window of two equal weights, L = 1, C1 = 1e-4, C2 = 9e-4.
    # s = (0, 0.5): mean 0.25, variance 0.0625; t = (0, 1): mean 0.5, variance 0.25; covariance 0.25 - 0.125 = 0.125
    luminance = (2 * 0.25 * 0.5 + 1e-4) / (0.0625 + 0.25 + 1e-4)
    contrast = (2 * 0.125 + 9e-4) / (0.0625 + 0.25 + 9e-4)
    loss = of_features("ssim")(row(0, 0.5), row(0, 1), None)
    assert float(loss) == pytest.approx((1 - luminance * contrast) / 2, rel=1e-5)


def test_ssim_windows_stay_inside_the_map():
    # 13 columns leave 3 windows of 11; a bright pixel in column 0 reaches only the first: its weight is exp(-(5 / 1.5)^2 / 2) / sum
    bell = [math.exp(-(((i - 5) / 1.5) ** 2) / 2) for i in range(11)]
    w = bell[0] / sum(bell)
    student, teacher = row(*[0.0] * 13), row(1.0, *[0.0] * 12)
    # first window: means 0 and w, variances 0 and w - w^2, covariance 0; the others are equal, SSIM 1
    first = (1e-4 / (w * w + 1e-4)) * (9e-4 / (w - w * w + 9e-4))
    assert float(of_features("ssim")(student, teacher, None)) == pytest.approx((1 - first) / 2 / 3, rel=1e-4)


def test_ssim_does_not_lose_small_variances_beside_a_large_mean():
    near = of_features("ssim")(row(0, 0.5, 0.2), row(0, 1, 0.3), None)
    # Shifted by 1000 both means are all but equal, so only the contrast is left: larger similarity, but the same structure term
    far = of_features("ssim")(row(1000, 1000.5, 1000.2), row(1000, 1001, 1000.3), None)
    s, t = (0, 0.5, 0.2), (0, 1, 0.3)
    side, middle = math.exp(-(1 / 1.5**2) / 2), 1.0
    weights = [side / (2 * side + 1), middle / (2 * side + 1), side / (2 * side + 1)]

    def moment(a: tuple[float, ...], b: tuple[float, ...]) -> float:
        mean_a, mean_b = (sum(w * x for w, x in zip(weights, values, strict=True)) for values in (a, b))
        return sum(w * x * y for w, x, y in zip(weights, a, b, strict=True)) - mean_a * mean_b

    contrast = (2 * moment(s, t) + 9e-4) / (moment(s, s) + moment(t, t) + 9e-4)
    assert float(far) == pytest.approx((1 - contrast) / 2, rel=1e-3)
    assert float(far) < float(near)


@pytest.mark.parametrize("word", ["kl", "pearson", "ssim"])
def test_whole_maps_count_where_any_position_has_weight(word: str):
    student, teacher = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1)), torch.randn(2, 3, 4, 4)
    teacher[1] = teacher[0] * 2 - student[1]
    weight = torch.zeros(2, 1, 4, 4)
    weight[0, 0, 1, 2] = 0.3
    first = of_features(word)(student[:1], teacher[:1], None)
    if word != "ssim":  # ssim's L is the range of both samples
        assert_close(of_features(word)(student, teacher, weight), first)
    assert float(of_features(word)(student, teacher, torch.zeros(2, 1, 4, 4))) == 0


def test_kl_of_logits_runs_over_classes():
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert float(of_logits("kl")(classes(0, 0), classes(0, math.log(3)), None)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("semantics", ["paper", "released"])
def test_pearson_of_logits_runs_over_classes(semantics: str):
    loss = of_logits("pearson", semantics)(classes(1, 2, 3), classes(1, 3, 2), None)
    assert float(loss) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("semantics", ["paper", "released"])
def test_cor_is_the_logarithm_of_the_missing_correlations(semantics: str):
    # class 0: correlation 1/2 over the three cells, |v - 1|^2.02 = 0.5^2.02; class 1: the same values on both sides, 0
    student = torch.tensor([[[[1.0, 2.0, 3.0]], [[5.0, 4.0, 9.0]]]])
    teacher = torch.tensor([[[[1.0, 3.0, 2.0]], [[5.0, 4.0, 9.0]]]])
    loss = of_logits("cor", semantics)(student, teacher, None)
    assert float(loss) == pytest.approx(math.log2(2**-10 + 0.5**2.02), rel=1e-5)


def test_cor_has_a_finite_optimum():
    scores = torch.rand(2, 3, 4, 5)
    assert float(of_logits("cor")(scores, scores, None)) == -10


def test_cosine_of_logits_is_that_of_features():
    assert of_logits("cosine") is of_features("cosine")
