"""The generator of MGD (Yang et al., 2022): trained convolutions make the teacher's features from the student's masked ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkds.losses.transforms.attention import random_mask


class Generator(nn.Module):
    """Conv 3x3, ReLU, conv 3x3 of one student's level, of which a share λ = 0.65 of the positions is hidden; the teacher's as it is.

    Args:
        channels: of the level on both sides.
        place: of the level; not read.
    """

    def __init__(self, channels: int, place: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, student: Tensor, teacher: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Both sides (N, C, H, W) as they are compared."""
        return self.convs(student * random_mask(student, draws)), teacher
