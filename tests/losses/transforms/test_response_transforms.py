"""Transforms of scores and box sides, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

import detkds.losses  # noqa: F401 - attaches the functions
from detkds.genome import SLOTS, Knowledge
from detkds.genome.words import find


def logits(word: str, semantics: str = "paper"):
    return find(Knowledge.LOGITS, "transform", word).function(semantics)


def sides_of(word: str):
    return find(Knowledge.LOCALIZATION, "transform", word).function("paper")


# Two images, two classes, one row of two cells; the entry is image, class, cell.
SCORES = torch.tensor([[[[0.0, 1.0]], [[10.0, 11.0]]], [[[100.0, 101.0]], [[110.0, 111.0]]]])


def test_reshape_n_makes_one_row_an_image():
    rows = logits("reshape_N")(SCORES)
    assert rows.shape == (2, 4, 1, 1)
    assert_close(rows[:, :, 0, 0], torch.tensor([[0.0, 1, 10, 11], [100, 101, 110, 111]]))


def test_reshape_c_makes_one_row_a_class():
    rows = logits("reshape_C")(SCORES)
    assert rows.shape == (2, 4, 1, 1)
    assert_close(rows[:, :, 0, 0], torch.tensor([[0.0, 1, 100, 101], [10, 11, 110, 111]]))


@pytest.mark.parametrize(("word", "axis"), [("softmax_N", 0), ("softmax_C", 1)])
def test_softmax_runs_over_its_axis(word: str, axis: int):
    values = torch.zeros(2, 2, 1, 1)
    values.select(axis, 1).fill_(math.log(3))
    # exp: 1 and 3
    expected = torch.full((2, 2, 1, 1), 0.25)
    expected.select(axis, 1).fill_(0.75)
    assert_close(logits(word)(values), expected)
    assert sides_of(word) is logits(word)


@pytest.mark.parametrize("semantics", ["paper", "released"])
@pytest.mark.parametrize("word", ["none", "norm_N", "norm_C", "norm_minmax", "norm_batch"])
def test_logits_share_the_norms_of_features(semantics: str, word: str):
    assert logits(word, semantics) is find(Knowledge.GLOBAL, "norm", word).function(semantics)


def test_pow2_squares_and_keeps_the_sign():
    assert_close(sides_of("pow2")(torch.tensor([3.0, 0.5, -2.0])), torch.tensor([9.0, 0.25, -4.0]))


def test_sigmoid_of_sides():
    assert_close(sides_of("sigmoid")(torch.tensor([0.0, math.log(3)])), torch.tensor([0.5, 0.75]))


@pytest.mark.parametrize("word", SLOTS[Knowledge.LOCALIZATION]["transform"])
def test_sides_stay_positive_and_in_order(word: str):
    sides = torch.linspace(0.01, 6, 40).view(10, 4, 1, 1)
    out = sides_of(word)(sides)
    assert bool((out > 0).all())
    order = 0 if word == "softmax_N" else 1
    assert bool((out.diff(dim=order) > 0).all())
