"""Connectors: levels matched by stride, channels by convolution, grids by resampling."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from detkds.detectors.connectors import Connectors, match_levels, stride_mismatch
from detkds.detectors.taps import NeckShape


@pytest.mark.parametrize(
    ("student", "teacher", "pairs"),
    [
        ((8, 16, 32), (8, 16, 32), ((0, 0), (1, 1), (2, 2))),
        ((8, 16, 32, 64, 128), (4, 8, 16, 32, 64), ((0, 1), (1, 2), (2, 3), (3, 4))),  # RetinaNet from Faster R-CNN
        ((8, 16, 32), (8, 64), ((0, 0),)),  # a shared stride: no nearest partners for the rest
        ((6, 12), (8, 16), ((0, 0), (1, 1))),  # log2(8/6) = log2(16/12) = 0.42 octaves; 12 from 8 is 0.58
        ((4,), (8, 16), ((0, 0),)),  # exactly one octave
        ((4,), (16,), ()),
    ],
)
def test_match_levels(student: tuple[int, ...], teacher: tuple[int, ...], pairs: tuple[tuple[int, int], ...]) -> None:
    assert match_levels(student, teacher) == pairs


def test_the_reason_names_both_strides() -> None:
    assert stride_mismatch("neck", (8,), (8,)) is None
    reason = stride_mismatch("neck", (4,), (16,))
    assert reason == "neck strides (4) of the student and (16) of the teacher lie more than a factor of two apart"


def test_equal_channels_need_no_convolution() -> None:
    connectors = Connectors(NeckShape((8, 16), (16, 16)), NeckShape((8, 16), (16, 32)))
    assert isinstance(connectors.channels[0], nn.Identity)
    assert connectors.channels[1].weight.shape == (32, 16, 1, 1)
    assert connectors.strides == (8, 16)


def test_the_convolution_is_the_students_and_the_grid_too() -> None:
    connectors = Connectors(NeckShape((8,), (2,)), NeckShape((8,), (3,)))
    student = [torch.rand(1, 2, 5, 4, requires_grad=True)]
    teacher = [torch.rand(1, 3, 6, 4)]
    (ours,), (theirs,) = connectors(student, teacher)
    assert ours.shape == theirs.shape == (1, 3, 5, 4)
    ours.sum().backward()
    assert student[0].grad is not None
    assert connectors.channels[0].weight.grad is not None


def test_a_finer_teacher_is_averaged() -> None:
    connectors = Connectors(NeckShape((16,), (1,)), NeckShape((8,), (1,)))
    teacher = torch.tensor([[1.0, 3.0, 5.0, 5.0], [1.0, 3.0, 5.0, 5.0]])[None, None]
    _, (theirs,) = connectors([torch.zeros(1, 1, 1, 2)], [teacher])
    assert theirs.flatten().tolist() == [2.0, 5.0]  # means of the two 2x2 cells: (1+3+1+3)/4, 5


def test_a_coarser_teacher_is_interpolated() -> None:
    connectors = Connectors(NeckShape((8,), (1,)), NeckShape((16,), (1,)))
    _, (theirs,) = connectors([torch.zeros(1, 1, 1, 4)], [torch.tensor([0.0, 4.0])[None, None, None]])
    # the four cell centres lie at -0.25, 0.25, 0.75, 1.25 of the coarse grid; the ends repeat
    assert theirs.flatten().tolist() == [0.0, 1.0, 3.0, 4.0]


def test_building_draws_nothing_from_the_global_generator() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = Connectors(NeckShape((8,), (2,)), NeckShape((8,), (3,)))
    assert torch.equal(torch.rand(1), expected)
    second = Connectors(NeckShape((8,), (2,)), NeckShape((8,), (3,)))
    assert torch.equal(first.channels[0].weight, second.channels[0].weight)
