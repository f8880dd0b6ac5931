"""The generator adapter of MGD (Yang et al., 2022): trained convolutions make the teacher's features from the student's masked ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detkds.losses.transforms.attention import random_mask


class Generators(nn.Module):
    """Conv 3x3, ReLU, conv 3x3 for each level, on maps of which a share λ = 0.65 of the positions is hidden.

    They are trained with the student and no part of it. They start from a seed of their own, so that building them changes no other random
    draw.

    Args:
        channels: of each level, the teacher's.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            self.levels = nn.ModuleList(
                nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)) for width in channels
            )

    def forward(self, student_levels: Sequence[Tensor], step: int) -> tuple[Tensor, ...]:
        """Views.generated: levels (N, C, H, W) like the student's, whose channels are the teacher's; `step` seeds the masks."""
        draws = torch.Generator().manual_seed(step)
        return tuple(make(level * random_mask(level, draws)) for make, level in zip(self.levels, student_levels, strict=True))
