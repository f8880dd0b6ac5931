"""The scale slot: scale_n and local_n (Eq. 5), for features and for the weights of their positions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from detkds.genome.words import NONE, operation

Scale = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor, Tensor | None]]
"""(student, teacher, weight of each position (N, 1, H, W) or None for 1 everywhere) -> the same at another scale."""


@operation(NONE, "scale")
@operation("scale_1", "scale")
@operation("local_1", "scale")
def no_scale(student: Tensor, teacher: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The empty slot."""
    return student, teacher, weight


def pool(n: int, student: Tensor, teacher: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """nxn max pooling with stride n; a rest at the border makes a cell of its own. A cell weighs what its heaviest part does."""
    return max_pool(student, n), max_pool(teacher, n), None if weight is None else max_pool(weight, n)


def local(n: int, student: Tensor, teacher: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """An nxn grid of patches moved to the batch: (n²N, C, ⌈H/n⌉, ⌈W/n⌉). Cells that fill up the border repeat the edge, weight 0."""
    if weight is None and any(size % n for size in student.shape[2:]):
        weight = student.new_ones(student.shape[0], 1, *student.shape[2:])
    cut = None if weight is None else patches(pad_zero(weight, n), n)
    return patches(pad_edge(student, n), n), patches(pad_edge(teacher, n), n), cut


def pool_zero_padded(n: int, student: Tensor, teacher: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The published code's pooling: the border is filled up with zeros, which win over negative features."""
    padded = (pad_zero(student, n), pad_zero(teacher, n), None if weight is None else pad_zero(weight, n))
    return pool(n, *padded)


def local_to_channels(n: int, student: Tensor, teacher: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The published code's patches: nxn pixels each, moved to the channels, (N, C⌈H/n⌉⌈W/n⌉, n, n). Its positions carry no weight."""
    return tiles(pad_zero(student, n), n), tiles(pad_zero(teacher, n), n), None


def max_pool(f_NCHW: Tensor, n: int) -> Tensor:
    """(N, C, ⌈H/n⌉, ⌈W/n⌉)."""
    return F.max_pool2d(f_NCHW, n, n, ceil_mode=True)


def patches(f_NCHW: Tensor, n: int) -> Tensor:
    """Patch (i, j) of sample b becomes sample (b n + i) n + j; H and W are multiples of n."""
    N, C, H, W = f_NCHW.shape
    grid = f_NCHW.reshape(N, C, n, H // n, n, W // n).permute(0, 2, 4, 1, 3, 5)
    return grid.reshape(N * n * n, C, H // n, W // n)


def tiles(f_NCHW: Tensor, n: int) -> Tensor:
    """Tile (i, j) of channel c becomes channel (c H/n + i) W/n + j; H and W are multiples of n."""
    N, C, H, W = f_NCHW.shape
    grid = f_NCHW.reshape(N, C, H // n, n, W // n, n).permute(0, 1, 2, 4, 3, 5)
    return grid.reshape(N, C * (H // n) * (W // n), n, n)


def pad_edge(f_NCHW: Tensor, n: int) -> Tensor:
    """Repeats the last row and column until H and W are multiples of n. Concatenation keeps the backward pass deterministic."""
    for dim in (2, 3):
        missing = -f_NCHW.shape[dim] % n
        if missing:
            last = f_NCHW.narrow(dim, f_NCHW.shape[dim] - 1, 1)
            f_NCHW = torch.cat([f_NCHW, *[last] * missing], dim)
    return f_NCHW


def pad_zero(f_NCHW: Tensor, n: int) -> Tensor:
    """Appends zero rows and columns until H and W are multiples of n."""
    height, width = f_NCHW.shape[2:]
    return F.pad(f_NCHW, (0, -width % n, 0, -height % n))


for _n in (2, 4):
    operation(f"scale_{_n}", "scale", semantics=("paper",))(partial(pool, _n))
    operation(f"scale_{_n}", "scale", semantics=("released",))(partial(pool_zero_padded, _n))
    operation(f"local_{_n}", "scale", semantics=("paper",))(partial(local, _n))
    operation(f"local_{_n}", "scale", semantics=("released",))(partial(local_to_channels, _n))

REDUCTION = {NONE: 1, "scale_1": 1, "local_1": 1, "scale_2": 2, "scale_4": 4}
"""How many times coarser the grid of a whole map becomes; local_n has no such grid, and plugins do not say."""
