"""Scales, by hand."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

import detkds.losses  # noqa: F401 - attaches the functions
from detkds.genome import Knowledge
from detkds.genome.words import find

NINE = torch.arange(1.0, 10).view(1, 1, 3, 3)


def scale(semantics: str, word: str, features: torch.Tensor, weight: torch.Tensor | None = None):
    student, teacher, scaled = find(Knowledge.GLOBAL, "scale", word).function(semantics)(features, -features, weight)
    return student, teacher, scaled


def test_scale_2_takes_maxima_and_the_border_makes_cells_of_its_own():
    # 1 2 | 3
    # 4 5 | 6
    # -------
    # 7 8 | 9
    student, teacher, weight = scale("paper", "scale_2", NINE)
    assert_close(student, torch.tensor([[[[5.0, 6.0], [8.0, 9.0]]]]))
    assert_close(teacher, torch.tensor([[[[-1.0, -3.0], [-7.0, -9.0]]]]))
    assert weight is None


def test_a_pooled_cell_weighs_what_its_heaviest_part_does():
    weight = torch.tensor([[[[0.0, 0.5, 0.0], [0.25, 0.0, 0.0], [0.0, 0.0, 0.0]]]])
    assert_close(scale("paper", "scale_2", NINE, weight)[2], torch.tensor([[[[0.5, 0.0], [0.0, 0.0]]]]))


def test_scale_4_of_a_smaller_map_is_its_maximum():
    assert_close(scale("paper", "scale_4", NINE)[0], torch.tensor([[[[9.0]]]]))


def test_the_released_pooling_lets_padded_zeros_win_over_negative_features():
    _, teacher, _ = scale("released", "scale_2", NINE)
    # The right column and the bottom row share their windows with zeros: max(-3, -6, 0) = 0
    assert_close(teacher, torch.tensor([[[[-1.0, 0.0], [0.0, 0.0]]]]))


def test_local_2_moves_four_patches_to_the_batch_and_repeats_the_edge_without_weight():
    # 1 2 | 3 3
    # 4 5 | 6 6
    # ---------
    # 7 8 | 9 9
    # 7 8 | 9 9
    student, teacher, weight = scale("paper", "local_2", NINE)
    expected = torch.tensor([[[1.0, 2], [4, 5]], [[3, 3], [6, 6]], [[7, 8], [7, 8]], [[9, 9], [9, 9]]])[:, None]
    assert_close(student, expected)
    assert_close(teacher, -expected)
    assert weight is not None
    assert_close(weight, torch.tensor([[[1.0, 1], [1, 1]], [[1, 0], [1, 0]], [[1, 1], [0, 0]], [[1, 0], [0, 0]]])[:, None])


def test_local_4_is_a_four_by_four_grid():
    features = torch.arange(2 * 3 * 8 * 4.0).view(2, 3, 8, 4)
    patches, _, weight = scale("paper", "local_4", features)
    assert patches.shape == (32, 3, 2, 1)
    assert weight is None  # nothing was filled up
    # Sample 1, patch in grid row 2, column 3: rows 4 and 5 of column 3
    assert_close(patches[16 + 2 * 4 + 3], features[1, :, 4:6, 3:4])


def test_local_carries_weights_along():
    weight = torch.arange(9.0).view(1, 1, 3, 3)
    patches = scale("paper", "local_2", NINE, weight)[2]
    assert patches is not None
    assert_close(patches[0, 0], torch.tensor([[0.0, 1], [3, 4]]))
    assert_close(patches[3, 0], torch.tensor([[8.0, 0], [0, 0]]))


def test_the_released_local_moves_tiles_of_two_pixels_to_the_channels():
    features = torch.arange(8.0).view(1, 1, 2, 4)
    # 0 1 | 2 3
    # 4 5 | 6 7
    tiles, _, weight = scale("released", "local_2", features)
    assert_close(tiles, torch.tensor([[[[0.0, 1], [4, 5]], [[2, 3], [6, 7]]]]))
    assert weight is None
    assert_close(scale("released", "local_4", features)[0], torch.tensor([[[[0.0, 1, 2, 3], [4, 5, 6, 7], [0] * 4, [0] * 4]]]))


@pytest.mark.parametrize("word", ["none", "scale_1", "local_1"])
@pytest.mark.parametrize("semantics", ["paper", "released"])
def test_the_empty_scales_are_the_identity(semantics: str, word: str):
    student, teacher, _ = scale(semantics, word, NINE)
    assert torch.equal(student, NINE)
    assert torch.equal(teacher, -NINE)
