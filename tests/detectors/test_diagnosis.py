"""What a loss does to a student: shares by hand, and what scaling a weight must change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from detkds.detectors.diagnosis import PROPOSALS, Diagnosis, _padding
from detkds.losses.padding import stride_of
from detkds.losses.views import Views


def test_padding_is_what_lies_wholly_outside_its_image() -> None:
    """Two images in a batch of 64 x 64, stride 16: 40 x 64 pixels reach into the third row of cells, 64 x 20 into the second column."""
    samples = [SimpleNamespace(img_shape=(40, 64)), SimpleNamespace(img_shape=(64, 20))]
    outside = _padding(torch.zeros(2, 4, 4), 16, samples)
    assert outside[0].tolist() == [[0] * 4] * 3 + [[1] * 4]
    assert outside[1].tolist() == [[0, 0, 1, 1]] * 4


@pytest.mark.parametrize(("cells", "stride"), [((32, 40), 8), ((4, 5), 64), ((2, 3), 128), ((1, 1), PROPOSALS)])
def test_strides_of_heads_are_powers_of_two(cells: tuple[int, int], stride: int) -> None:
    """The coarsest grid of 256 x 320 pixels has 2 x 3 cells: 320 / 3 is 107, and its stride is 128."""
    views: Any = Views((), (), (), (torch.zeros(0, 4),), (256, 320))
    assert stride_of(torch.zeros(1, 3, *cells), views) == stride
    assert stride_of(torch.zeros(7, 3, 1, 1), views) == PROPOSALS


def test_the_mean_counts_a_stride_that_a_batch_lacks_as_0() -> None:
    mean = Diagnosis.mean([Diagnosis(1.0, 0.5, {8: 1.0}, 0.0), Diagnosis(3.0, 1.5, {8: 0.5, 16: 0.5}, 0.2)])
    assert mean == Diagnosis(2.0, 1.0, {8: 0.75, 16: 0.25}, 0.1)
