"""Boxes and crops of semantics `released`, on hand-computed numbers and against the operator that the authors' code calls."""

from __future__ import annotations

import pytest
import torch
from mmcv.ops import roi_align
from torch.testing import assert_close

from detkds.losses.published import BINS, CellBoxes, by_area, crop
from detkds.losses.regions import gather
from detkds.losses.views import Views

LEVEL = torch.zeros(1, 1, 4, 4)


def cells(*boxes: tuple[float, float, float, float], batch: tuple[int, int] = (32, 32), image: tuple[int, int] | None = None) -> CellBoxes:
    """Boxes of one image in pixels of the batch, on a level of 4 x 4 cells."""
    objects = (torch.tensor(boxes),)
    views = Views((), (), (), objects, batch, image_shapes=(image,) if image else ())
    return CellBoxes(gather(objects, batch), LEVEL, views)


def test_a_box_extends_one_cell_beyond_its_last() -> None:
    # x from 4 to 12 pixels is from .5 to 1.5 cells: columns 0 to 2 instead of 0 to 1; y from 8 to 16: rows 1 to 2 instead of 1 alone
    weight = by_area(cells((4.0, 8.0, 12.0, 16.0)), LEVEL)
    sixth = 1 / (3 * 2)
    assert_close(weight[0, 0], torch.tensor([[0, 0, 0, 0], [sixth, sixth, sixth, 0], [sixth, sixth, sixth, 0], [0, 0, 0, 0]]))


def test_its_area_counts_cells_outside_the_level() -> None:
    # up to the border: columns and rows 2 to 4, of which 4 is outside; 9 cells
    weight = by_area(cells((16.0, 16.0, 32.0, 32.0)), LEVEL)
    assert_close(weight[0, 0, 2:, 2:], torch.full((2, 2), 1 / 9))
    assert float(weight.sum()) == pytest.approx(4 / 9)


def test_the_smallest_box_decides() -> None:
    # the first covers columns 0 to 1, rows 0 to 1; the second all: columns and rows 0 to 4
    weight = by_area(cells((0.0, 0.0, 8.0, 8.0), (0.0, 0.0, 32.0, 32.0)), LEVEL)
    assert_close(weight[0, 0, :2, :2], torch.full((2, 2), 1 / 4))
    assert float(weight[0, 0, 3, 3]) == pytest.approx(1 / 25)


def test_an_image_is_stretched_over_the_level_as_if_it_had_no_padding() -> None:
    # 16 of 32 pixels wide: its right half, 8 to 16 pixels, is columns 2 to 4 there, though it lies on column 1 of the padded batch
    boxes = cells((8.0, 0.0, 16.0, 8.0), image=(32, 16))
    assert boxes.first.tolist() == [[2, 0]]
    assert boxes.last.tolist() == [[4, 1]]


@pytest.mark.parametrize("size", [(40, 60), (7, 5), (1, 1)])
def test_crops_are_those_of_the_unaligned_adaptive_operator(size: tuple[int, int]) -> None:
    """On small maps most of these boxes lie outside, as after the pooling of the authors' code."""
    draws = torch.Generator().manual_seed(0)
    level = torch.randn(2, 3, *size, generator=draws)
    objects = (torch.tensor([[10.0, 12.0, 300.0, 170.0], [0.0, 0.0, 33.0, 9.0]]), torch.tensor([[100.0, 50.0, 480.0, 320.0]]))
    boxes = CellBoxes(gather(objects, (320, 480)), torch.zeros(2, 1, 40, 60), Views((), (), (), objects, (320, 480)))
    rois = torch.cat([boxes.image[:, None].float(), boxes.first, boxes.last], 1)
    assert_close(crop(level, boxes), roi_align(level, rois, (BINS, BINS), 1.0, 0, "avg", False), rtol=1e-4, atol=1e-5)
