"""Boxes and crops as the authors' published code takes them: semantics `released`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detkds.losses.regions import BatchBoxes
from detkds.losses.views import Views

BINS = 14
"""Along each side of a crop."""


class CellBoxes:
    """Boxes of a batch in cells of one level: an image, without its padding, is stretched over the whole level.

    Args:
        boxes: in pixels.
        level_NCHW: any map of the level, for its height and width.
        views: says how large each image is.
    """

    def __init__(self, boxes: BatchBoxes, level_NCHW: Tensor, views: Views) -> None:
        height, width = self.size = (level_NCHW.shape[2], level_NCHW.shape[3])
        shapes = views.image_shapes or (views.batch_shape,) * len(level_NCHW)
        scale = boxes.corners.new_tensor([(width / w, height / h) * 2 for h, w in shapes])[boxes.image]
        cells = boxes.corners * scale
        self.image = boxes.image
        self.first, self.last = cells[:, :2].floor(), cells[:, 2:].ceil()
        """(B, 2) x and y."""


def by_area(boxes: CellBoxes, level_NCHW: Tensor) -> Tensor:
    """What each foreground cell counts (N, 1, H, W): 1 / area of the smallest box over it.

    A box extends one cell beyond its last, and its area also counts cells that this adds outside the level.
    """
    N, _, H, W = level_NCHW.shape
    in_columns, in_rows = (_inside(boxes.first[:, axis], boxes.last[:, axis], size) for axis, size in ((0, W), (1, H)))
    area = (boxes.last - boxes.first + 1).prod(1)
    weight = in_rows[:, :, None] * in_columns[:, None, :] / area[:, None, None]
    image = boxes.image[:, None, None].expand(-1, H, W)
    return weight.new_zeros(N, H, W).scatter_reduce(0, image, weight, "amax")[:, None]


def _inside(first: Tensor, last: Tensor, size: int) -> Tensor:
    """(B, size): 1 for the cells from `first` to `last`, both included."""
    cell = torch.arange(size, device=first.device)
    return ((cell >= first[:, None]) & (cell <= last[:, None])).to(first.dtype)


def crop(level_NCHW: Tensor, boxes: CellBoxes) -> Tensor:
    """Crops (B, C, 14, 14): RoIAlign of rounded boxes without the half-cell shift.

    A bin is the mean of as many samples along each side as it has cells, rounded up. What lies outside the map is 0.
    """
    height, width = level_NCHW.shape[2:]
    rows = _bins(boxes.first[:, 1], boxes.last[:, 1], height, boxes.size[0])
    columns = _bins(boxes.first[:, 0], boxes.last[:, 0], width, boxes.size[1])
    return torch.einsum("bph,bchw,bqw->bcpq", rows, level_NCHW[boxes.image], columns)


def _bins(first: Tensor, last: Tensor, size: int, longest: int) -> Tensor:
    """(B, BINS, size): what each cell counts in each bin, along one axis, of boxes of at most `longest` cells."""
    extent = (last - first).clamp(min=1)
    most = math.ceil(longest / BINS)
    samples = (extent / BINS).ceil().clamp(max=most)
    step = torch.arange(most, device=first.device)
    taken = step < samples[:, None]
    place = torch.arange(BINS, device=first.device)[:, None] + (step + 0.5)[None] / samples[:, None, None]
    point = first[:, None, None] + place * (extent / BINS)[:, None, None]
    counts = (taken[:, None] & (point >= -1) & (point <= size)) / samples[:, None, None]
    point = point.clamp(0, size - 1)
    cell = torch.arange(size, device=first.device)
    return ((1 - (point[..., None] - cell).abs()).clamp(min=0) * counts[..., None]).sum(2)
