"""Attention, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from detkds.genome import Knowledge
from detkds.genome.words import SEMANTICS, find
from detkds.losses.transforms.attention import LAMBDA

# Two channels, one row of two positions: |f| averages (0.5, 1.5) over channels and (2, 0) over positions.
FEATURES = torch.tensor([[[[1.0, -3.0]], [[0.0, 0.0]]]])


def attend(semantics: str, word: str, student: torch.Tensor = FEATURES, teacher: torch.Tensor = FEATURES, seed: int = 0):
    return find(Knowledge.GLOBAL, "attention", word).function(semantics)(student, teacher, torch.Generator().manual_seed(seed))


def test_satt_weighs_positions_and_keeps_their_mean():
    # softmax((0.5, 1.5) / 0.5) = (1, e^2) / (1 + e^2), times HW = 2
    low, high = 2 / (1 + math.e**2), 2 * math.e**2 / (1 + math.e**2)
    assert_close(attend("paper", "satt")[0], torch.tensor([[[[low, -3 * high]], [[0.0, 0.0]]]]))
    assert low + high == pytest.approx(2)


def test_catt_weighs_channels_and_keeps_their_mean():
    # softmax((2, 0) / 0.5) = (e^4, 1) / (e^4 + 1), times C = 2
    strong = 2 * math.e**4 / (math.e**4 + 1)
    assert_close(attend("paper", "catt")[0], torch.tensor([[[[strong, -3 * strong]], [[0.0, 0.0]]]]))


def test_each_side_has_its_own_attention():
    teacher = torch.tensor([[[[2.0, 2.0]], [[2.0, 2.0]]]])
    for word in ("satt", "catt"):
        student_out, teacher_out = attend("paper", word, FEATURES, teacher)
        assert_close(student_out, attend("paper", word)[0])
        assert_close(teacher_out, teacher)  # even features have attention 1 everywhere


@pytest.mark.parametrize("word", ["satt", "catt"])
def test_the_released_attention_multiplies_by_the_root(word: str):
    ones = torch.ones_like(FEATURES)
    factor = attend("paper", word)[0][FEATURES != 0] / FEATURES[FEATURES != 0]
    released = attend("released", word)[0][FEATURES != 0] / FEATURES[FEATURES != 0]
    assert_close(released, factor.sqrt())
    assert_close(attend("released", word, ones)[0], ones)


def test_mask_hides_the_positions_whose_draw_is_below_lambda_on_both_sides():
    ones = torch.ones(2, 3, 5, 4)
    draws = torch.rand(2, 1, 5, 4, generator=torch.Generator().manual_seed(7))
    expected = (draws >= 0.65).float().expand_as(ones)
    student, teacher = attend("paper", "mask", ones, 2 * ones, seed=7)
    assert_close(student, expected)
    assert_close(teacher, 2 * expected)


def test_the_released_mask_draws_for_each_side():
    ones = torch.ones(1, 1, 100, 100)
    student, teacher = attend("released", "mask", ones, ones)
    assert not torch.equal(student, teacher)
    # 10,000 draws: the share that is kept deviates by 0.0048 (one sigma) from 0.35
    for side in (student, teacher):
        assert float(side.mean()) == pytest.approx(1 - LAMBDA, abs=0.02)


def test_none_is_the_identity():
    for semantics in SEMANTICS:
        student, teacher = attend(semantics, "none", FEATURES, 2 * FEATURES)
        assert torch.equal(student, FEATURES)
        assert torch.equal(teacher, 2 * FEATURES)
