"""Norms, by hand. With ε = 1e-6 a spread of 1 becomes 1 / sqrt(1 + 1e-6), which the tolerance hides."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

import detkds.losses  # noqa: F401 - attaches the functions
from detkds.genome import Knowledge
from detkds.genome.words import find


def norm(semantics: str, word: str, values: torch.Tensor) -> torch.Tensor:
    return find(Knowledge.GLOBAL, "norm", word).function(semantics)(values)


def test_norm_hw_standardises_each_map():
    # mean 2, variance 1; mean 10, variance 4
    maps = torch.tensor([[[[1.0, 3.0]], [[8.0, 12.0]]]])
    assert_close(norm("paper", "norm_HW", maps), torch.tensor([[[[-1.0, 1.0]], [[-1.0, 1.0]]]]))


def test_norm_c_standardises_each_position():
    # positions (1, 3) and (5, 5): variances 1 and 0
    maps = torch.tensor([[[[1.0, 5.0]], [[3.0, 5.0]]]])
    assert_close(norm("paper", "norm_C", maps), torch.tensor([[[[-1.0, 0.0]], [[1.0, 0.0]]]]))


def test_norm_n_standardises_over_four_samples():
    # mean 2, variance 1
    values = torch.tensor([1.0, 3.0, 3.0, 1.0]).view(4, 1, 1, 1)
    assert_close(norm("paper", "norm_N", values).flatten(), torch.tensor([-1.0, 1.0, 1.0, -1.0]))


def test_norm_n_divides_by_the_root_mean_square_of_fewer_samples():
    # rms of (3, 4) = sqrt(25 / 2)
    values = torch.tensor([3.0, 4.0]).view(2, 1, 1, 1)
    assert_close(norm("paper", "norm_N", values).flatten(), torch.tensor([3.0, 4.0]) / math.sqrt(12.5))


def test_norm_minmax_stretches_each_map():
    maps = torch.tensor([[[[2.0, 4.0, 6.0]], [[-1.0, 1.0, 0.0]]]])
    assert_close(norm("paper", "norm_minmax", maps), torch.tensor([[[[0.0, 0.5, 1.0]], [[0.0, 1.0, 0.5]]]]))


def test_the_released_minmax_stretches_the_whole_tensor():
    # from -1 to 7
    maps = torch.tensor([[[[3.0, 7.0]], [[-1.0, 1.0]]]])
    assert_close(norm("released", "norm_minmax", maps), torch.tensor([[[[0.5, 1.0]], [[0.0, 0.25]]]]))


@pytest.mark.parametrize("semantics", ["paper", "released"])
def test_norm_batch_standardises_a_channel_over_all_its_values(semantics: str):
    # channel 0 over both samples: 1, 1, 3, 3; channel 1: 0, 4, 4, 0
    maps = torch.tensor([[[[1.0, 1.0]], [[0.0, 4.0]]], [[[3.0, 3.0]], [[4.0, 0.0]]]])
    expected = torch.tensor([[[[-1.0, -1.0]], [[-1.0, 1.0]]], [[[1.0, 1.0]], [[1.0, -1.0]]]])
    assert_close(norm(semantics, "norm_batch", maps), expected)


def test_norm_batch_of_one_value_a_channel_is_zero():
    assert_close(norm("paper", "norm_batch", torch.tensor([5.0, 6.0]).view(1, 2, 1, 1)), torch.zeros(1, 2, 1, 1))


@pytest.mark.parametrize(("word", "shape"), [("norm_HW", (1, 1, 1, 2)), ("norm_C", (1, 2, 1, 1)), ("norm_N", (2, 1, 1, 1))])
def test_the_released_norms_divide_by_the_length(word: str, shape: tuple[int, ...]):
    # the length of (3, 4) is 5
    assert_close(norm("released", word, torch.tensor([3.0, 4.0]).view(shape)).flatten(), torch.tensor([0.6, 0.8]))


def test_none_is_the_identity():
    values = torch.tensor([[[[2.0]]]])
    assert norm("paper", "none", values) is values
    assert norm("released", "none", values) is values
