"""Regions of neck levels given by ground-truth boxes: weights of foreground and background cells, for a whole batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from detkds.genome import Knowledge
from detkds.genome.words import operation


class BatchBoxes(NamedTuple):
    """The boxes of all images in one tensor."""

    corners: Tensor  # (B, 4) x1, y1, x2, y2 in pixels, inside the batch
    image: Tensor  # (B,) which image a box belongs to


@dataclass(frozen=True)
class Region:
    """One level's foreground and background."""

    foreground: Tensor  # (N, 1, H, W): what a cell counts, 0 outside all boxes
    background: Tensor  # (N, 1, H, W): 1 outside all boxes, 0 inside


def count(boxes: tuple[Tensor, ...]) -> int:
    """The number of boxes of a batch; known without asking the device."""
    return sum(len(of_image) for of_image in boxes)


def gather(boxes: tuple[Tensor, ...], batch_shape: tuple[int, int]) -> BatchBoxes:
    """All boxes, clipped to the padded batch (height, width)."""
    height, width = batch_shape
    corners = torch.cat(boxes).reshape(-1, 4)
    corners = torch.stack([side.clamp(0, limit) for side, limit in zip(corners.unbind(1), (width, height) * 2, strict=True)], 1)
    image = torch.cat([torch.full((len(of_image),), index, device=corners.device) for index, of_image in enumerate(boxes)])
    return BatchBoxes(corners, image)


def by_area(boxes: BatchBoxes, level_NCHW: Tensor, stride: int) -> Tensor:
    """What each foreground cell counts (N, 1, H, W): 1 / area in cells of the smallest box that touches it, 0 for a cell that none does.
    A box inside the batch has at least one cell at every level."""
    N, _, H, W = level_NCHW.shape
    x1, y1, x2, y2 = (boxes.corners / stride).unbind(1)
    in_columns, in_rows = _cells(x1, x2, W), _cells(y1, y2, H)
    area = in_columns.sum(1) * in_rows.sum(1)
    weight = in_rows[:, :, None] * in_columns[:, None, :] / area[:, None, None]
    image = boxes.image[:, None, None].expand(-1, H, W)
    return weight.new_zeros(N, H, W).scatter_reduce(0, image, weight, "amax")[:, None]


@operation("even", "attention", (Knowledge.FGBG,))
def evenly(boxes: BatchBoxes, level_NCHW: Tensor, stride: int) -> Tensor:
    """1 for each cell that a box touches, 0 for the others (N, 1, H, W)."""
    return (by_area(boxes, level_NCHW, stride) > 0).to(boxes.corners.dtype)


def apart(foreground_N1HW: Tensor) -> Region:
    """The foreground's weights, and the background, which is where they are 0."""
    return Region(foreground_N1HW, (foreground_N1HW == 0).to(foreground_N1HW.dtype))


def _cells(low: Tensor, high: Tensor, size: int) -> Tensor:
    """(B, size): 1 for the cells from ⌊low⌋ up to ⌈high⌉, at least one."""
    cell = torch.arange(size, device=low.device)
    first = low.floor().clamp(max=size - 1)
    last = torch.maximum(high.ceil(), first + 1)
    return ((cell >= first[:, None]) & (cell < last[:, None])).to(low.dtype)


def level_of(boxes: BatchBoxes, strides: tuple[int, ...]) -> Tensor:
    """(B,) index of the level that a box's size maps to: the one of stride 2^k, k = ⌊4 + log2(sqrt(wh) / 224)⌋ (FPN, Eq. 1), or the
    nearest there is."""
    x1, y1, x2, y2 = boxes.corners.unbind(1)
    side = ((x2 - x1) * (y2 - y1)).clamp(min=1).sqrt()
    k = (4 + torch.log2(side / 224)).floor()
    # A sum of comparisons instead of a table keeps the strides on the host.
    return torch.stack([k >= math.log2(stride) for stride in strides[1:]]).sum(0) if len(strides) > 1 else torch.zeros_like(boxes.image)
