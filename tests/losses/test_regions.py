"""Regions and level assignment, by hand."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from detkds.losses import regions

BATCH = (32, 32)
LEVEL = torch.zeros(2, 5, 4, 4)  # stride 8


def of(boxes: regions.BatchBoxes, level: torch.Tensor, stride: int) -> regions.Region:
    return regions.apart(regions.by_area(boxes, level, stride))


def test_a_cell_takes_the_weight_of_the_smallest_box_that_covers_it():
    boxes = regions.gather((torch.tensor([[0.0, 0.0, 16.0, 16.0], [8.0, 8.0, 32.0, 32.0]]), torch.zeros(0, 4)), BATCH)
    region = of(boxes, LEVEL, 8)
    a, b = 1 / 4, 1 / 9  # 2 x 2 and 3 x 3 cells
    expected = torch.tensor([[a, a, 0, 0], [a, a, b, b], [0, b, b, b], [0, b, b, b]])
    assert_close(region.foreground[0, 0], expected)
    assert_close(region.background[0, 0], (expected == 0).float())


def test_an_image_without_boxes_is_background():
    boxes = regions.gather((torch.tensor([[0.0, 0.0, 16.0, 16.0]]), torch.zeros(0, 4)), BATCH)
    region = of(boxes, LEVEL, 8)
    assert float(region.foreground[1].abs().sum()) == 0
    assert_close(region.background[1, 0], torch.ones(4, 4))


def test_a_box_covers_the_cells_it_touches():
    # x from 7 to 9 touches columns 0 and 1, y from 20 to 21 touches row 2
    boxes = regions.gather((torch.zeros(0, 4), torch.tensor([[7.0, 20.0, 9.0, 21.0]])), BATCH)
    expected = torch.zeros(4, 4)
    expected[2, :2] = 0.5
    assert_close(of(boxes, LEVEL, 8).foreground[1, 0], expected)


def test_every_box_has_a_cell_even_without_extent_or_beyond_the_batch():
    outside = torch.tensor([[16.0, 16.0, 16.0, 16.0], [32.0, 0.0, 32.0, 4.0], [40.0, 40.0, 90.0, 90.0]])
    boxes = regions.gather((outside, torch.zeros(0, 4)), BATCH)
    foreground = of(boxes, LEVEL, 8).foreground[0, 0]
    expected = torch.zeros(4, 4)
    expected[2, 2] = expected[0, 3] = expected[3, 3] = 1
    assert_close(foreground, expected)


def test_boxes_follow_the_stride_where_it_does_not_divide_the_batch():
    # 2 x 2 cells of 32 pixels over a batch of 40: pixel 36 is in the second cell
    boxes = regions.gather((torch.tensor([[33.0, 1.0, 36.0, 5.0]]),), (40, 40))
    assert_close(of(boxes, torch.zeros(1, 1, 2, 2), 32).foreground[0, 0], torch.tensor([[0.0, 1.0], [0.0, 0.0]]))


def test_size_decides_the_level():
    # k = floor(4 + log2(side / 224)): 224 -> 4, 223 -> 3, 448 -> 5, 4 -> -2, 2000 -> 7
    sides = (224.0, 223.0, 448.0, 4.0, 2000.0)
    boxes = regions.gather((torch.tensor([[0.0, 0.0, side, side] for side in sides]),), (4096, 4096))
    assert regions.level_of(boxes, (8, 16, 32)).tolist() == [1, 0, 2, 0, 2]
    assert regions.level_of(boxes, (4, 8, 16, 32, 64, 128)).tolist() == [2, 1, 3, 0, 5]
    assert regions.level_of(boxes, (16,)).tolist() == [0] * 5


def test_width_and_height_count_together():
    # sqrt(896 * 56) = 224
    boxes = regions.gather((torch.tensor([[0.0, 0.0, 896.0, 56.0]]),), (1024, 1024))
    assert regions.level_of(boxes, (8, 16, 32)).tolist() == [1]
