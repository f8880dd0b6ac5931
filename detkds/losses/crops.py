"""RoIAlign (He et al., 2017; the aligned form) over several levels at once, as one weighted sum of table rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from detkds.losses.regions import BatchBoxes

SAMPLES = 2
"""Sampling points a bin and axis."""


class Axis(NamedTuple):
    """Where the bins of each box read along one axis: 2 · SAMPLES cells a bin."""

    cell: Tensor  # (B, size, 2 · SAMPLES) index of a cell
    weight: Tensor  # (B, size, 2 · SAMPLES) its share; the shares of a bin sum to 1 where it lies inside the map


def crop(levels: Sequence[Tensor], strides: Sequence[float], boxes: BatchBoxes, level: Tensor, size: int) -> Tensor:
    """Crops of `size` x `size` bins, each the mean of 2 x 2 bilinear samples.

    Args:
        levels: (N, C, H, W) each, one N and C.
        strides: pixels per cell, one per level.
        boxes: (B, 4) in pixels.
        level: (B,) from which level each box is taken.
        size: bins along each side.

    Returns:
        (B, C, size, size).
    """
    N, C = levels[0].shape[:2]
    cells = [f.shape[2] * f.shape[3] for f in levels]
    starts = [sum(cells[:index]) for index in range(len(levels))]
    heights, widths = ([f.shape[dim] for f in levels] for dim in (2, 3))
    stride, height, width, start = (_pick(level, values) for values in (strides, heights, widths, starts))
    x1, y1, x2, y2 = (boxes.corners / stride[:, None] - 0.5).unbind(1)
    rows, columns = _axis(y1, y2, height, size), _axis(x1, x2, width, size)
    first = boxes.image * sum(cells) + start.long()
    row = first[:, None, None] + rows.cell.long() * width.long()[:, None, None]
    index = row[:, :, None, :, None] + columns.cell.long()[:, None, :, None, :]
    weight = rows.weight[:, :, None, :, None] * columns.weight[:, None, :, None, :]
    table = torch.cat([f.flatten(2) for f in levels], 2).transpose(1, 2).reshape(N * sum(cells), C)
    shares = weight.flatten(3).flatten(0, 2).to(table.dtype)
    bins = F.embedding_bag(index.flatten(3).flatten(0, 2), table, per_sample_weights=shares, mode="sum")
    return bins.view(-1, size, size, C).permute(0, 3, 1, 2)


def _axis(low: Tensor, high: Tensor, length: Tensor, size: int) -> Axis:
    """Bilinear reading points between `low` and `high` (B,) in cells, along an axis of `length` (B,) cells; 0 a cell or more outside."""
    steps = (torch.arange(size * SAMPLES, device=low.device) + 0.5) / (size * SAMPLES)
    point = low[:, None] + (high - low)[:, None] * steps
    last = length[:, None] - 1
    inside = (point >= -1) & (point <= length[:, None])
    point = torch.minimum(point.clamp(min=0), last)
    floor = point.floor()
    share = point - floor
    cell = torch.stack([floor, torch.minimum(floor + 1, last)], 2)
    weight = torch.stack([1 - share, share], 2) * inside[:, :, None] / SAMPLES
    return Axis(cell.view(len(low), size, -1), weight.view(len(low), size, -1))


def _pick(level: Tensor, values: Sequence[float]) -> Tensor:
    """(B,) the value of each box's level, without moving a table to the device."""
    picked = torch.zeros_like(level, dtype=torch.float32)
    for index, value in enumerate(values):
        picked = torch.where(level == index, float(value), picked)
    return picked
