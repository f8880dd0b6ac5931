"""The non-local relation of FKD (Zhang & Ma, 2021): a non-local block of embedded Gaussian (Wang et al., 2018) on either side."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

PUBLISHED = ((8, 4), (4, 4))
"""(pooling of keys and values, share of the channels inside) of the two finest levels in the authors' code."""
FURTHER = (2, 2)
"""The same of every coarser level."""


class NonLocal(nn.Module):
    """f + BN(W y), y_i = Σ_j softmax_j(θ(f_i) · φ(f_j)) g(f_j), where j runs over pooled positions.

    The normalisation starts at 0, so that the block starts as the identity.

    Args:
        channels: C of the maps.
        pooling: keys and values are the maxima of squares of so many cells; at the border of what is there.
        inside: the dot products have C / inside channels.
    """

    def __init__(self, channels: int, pooling: int, inside: int) -> None:
        super().__init__()
        narrow = max(1, channels // inside)
        self.query, self.key, self.value = (nn.Conv2d(channels, narrow, kernel_size=1) for _ in range(3))
        self.pool = nn.MaxPool2d(pooling, ceil_mode=True)
        self.out, self.norm = nn.Conv2d(narrow, channels, kernel_size=1), _BatchNorm(channels, track_running_stats=False)
        nn.init.zeros_(self.norm.weight)

    def forward(self, f_NCHW: Tensor) -> Tensor:
        """The maps with what relates to each position added to it."""
        queries = self.query(f_NCHW).flatten(2).mT
        keys, values = (self.pool(conv(f_NCHW)).flatten(2) for conv in (self.key, self.value))
        related = ((queries @ keys).softmax(-1) @ values.mT).mT.unflatten(2, f_NCHW.shape[2:])
        made: Tensor = f_NCHW + self.norm(self.out(related))
        return made


class NonLocals(nn.Module):
    """A block of the student's level, a 1x1 convolution behind it, and a block of the teacher's; all trained by the loss.

    Args:
        channels: of the level on both sides.
        place: of the level, 0 the finest.
    """

    def __init__(self, channels: int, place: int) -> None:
        super().__init__()
        setting = PUBLISHED[place] if place < len(PUBLISHED) else FURTHER
        self.student, self.teacher = NonLocal(channels, *setting), NonLocal(channels, *setting)
        self.adapt = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, student: Tensor, teacher: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Both sides (N, C, H, W) as they are compared."""
        return self.adapt(self.student(student)), self.teacher(teacher)


class _BatchNorm(nn.BatchNorm2d):
    """Statistics of the batch alone; a channel of a single value, which PyTorch refuses, is that value standardised: 0."""

    def forward(self, f_NCHW: Tensor) -> Tensor:
        if f_NCHW.numel() > f_NCHW.shape[1]:
            return F.batch_norm(f_NCHW, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return 0 * f_NCHW + self.bias[:, None, None]
