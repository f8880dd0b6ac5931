"""The global relation of FGD (Yang et al., 2022): a global context block (Cao et al., 2019) on either side."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GlobalContext(nn.Module):
    """f + W2 ReLU(LN(W1 c)), where c is the mean of f over positions, weighted by softmax_HW(W_k f) (FGD, Eq. 10).

    The last convolution starts at 0, so that the block starts as the identity.

    Args:
        channels: C of the maps; the bottleneck has half of them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // 2)
        self.key = nn.Conv2d(channels, 1, kernel_size=1)
        nn.init.kaiming_normal_(self.key.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(self._bias(self.key))
        last = nn.Conv2d(narrow, channels, kernel_size=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(self._bias(last))
        self.transform = nn.Sequential(nn.Conv2d(channels, narrow, kernel_size=1), nn.LayerNorm([narrow, 1, 1]), nn.ReLU(), last)

    @staticmethod
    def _bias(conv: nn.Conv2d) -> Tensor:
        assert conv.bias is not None
        return conv.bias

    def forward(self, f_NCHW: Tensor) -> Tensor:
        """The maps with the context added at every position."""
        share = self.key(f_NCHW).flatten(2).softmax(-1)
        context = torch.einsum("ncp,nop->nc", f_NCHW.flatten(2), share)[:, :, None, None]
        made: Tensor = f_NCHW + self.transform(context)
        return made


class GlobalContexts(nn.Module):
    """A block of the student's and one of the teacher's level, both trained by the loss.

    Args:
        channels: of the level on both sides.
        place: of the level; not read.
    """

    def __init__(self, channels: int, place: int) -> None:
        super().__init__()
        self.student, self.teacher = GlobalContext(channels), GlobalContext(channels)

    def forward(self, student: Tensor, teacher: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Both sides (N, C, H, W) as they are compared."""
        return self.student(student), self.teacher(teacher)
