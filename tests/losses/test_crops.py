"""RoIAlign, by hand and beside mmcv's."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from detkds.losses.crops import crop
from detkds.losses.regions import BatchBoxes, gather


def test_a_ramp_is_read_at_the_centres_of_the_bins():
    # Cell j has its centre at pixel 8 j + 4, so pixel x lies at x / 8 - 0.5 cells. A box from pixel 8 to 24 spans 0.5 to 2.5:
    # two bins with centres at 1 and 2. The ramp is linear, so the mean of a bin's samples is the value at its centre.
    ramp = torch.arange(5.0).expand(1, 1, 4, 5)
    boxes = gather((torch.tensor([[8.0, 8.0, 24.0, 24.0]]),), (32, 40))
    crops = crop([ramp], [8], boxes, torch.tensor([0]), 2)
    assert_close(crops, torch.tensor([[[[1.0, 2.0], [1.0, 2.0]]]]))


def test_each_box_reads_its_own_level_and_image():
    fine = torch.stack([torch.full((1, 4, 4), 1.0), torch.full((1, 4, 4), 2.0)])
    coarse = torch.stack([torch.full((1, 2, 2), 10.0), torch.full((1, 2, 2), 20.0)])
    boxes = BatchBoxes(torch.tensor([[4.0, 4.0, 20.0, 20.0]] * 4), torch.tensor([0, 0, 1, 1]))
    crops = crop([fine, coarse], [8, 16], boxes, torch.tensor([0, 1, 0, 1]), 3)
    assert_close(crops.mean((1, 2, 3)), torch.tensor([1.0, 10.0, 2.0, 20.0]))


def test_gradient_reaches_only_the_cells_that_are_read():
    level = torch.zeros(1, 2, 6, 6, requires_grad=True)
    boxes = gather((torch.tensor([[8.0, 8.0, 24.0, 24.0]]),), (48, 48))
    crop([level], [8], boxes, torch.tensor([0]), 2).sum().backward()
    assert level.grad is not None
    # 2 x 2 bins of weight 1 each, in every channel
    assert_close(level.grad.sum((2, 3)), torch.full((1, 2), 4.0))
    assert float(level.grad[..., 4:, :].abs().sum()) == 0


@pytest.mark.parametrize("size", [7, 14])
def test_agrees_with_mmcv(size: int):
    ops = pytest.importorskip("mmcv.ops")
    generator = torch.Generator().manual_seed(0)
    level = torch.randn(2, 3, 9, 11, generator=generator)
    low = torch.rand(12, 2, generator=generator) * 60
    corners = torch.cat([low, low + torch.rand(12, 2, generator=generator) * 50], 1)
    image = torch.arange(12) % 2
    expected = ops.roi_align(level, torch.cat([image[:, None].float(), corners], 1), (size, size), 1 / 8, 2, "avg", True)
    assert_close(crop([level], [8], BatchBoxes(corners, image), torch.zeros(12, dtype=torch.long), size), expected)
