"""Alignment of a student's neck levels with a teacher's: levels by stride, channels by a trainable 1x1 convolution, grids by resampling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detkds.detectors.taps import NeckShape


def match_levels(student: Sequence[float], teacher: Sequence[float]) -> tuple[tuple[int, int], ...]:
    """Pairs (student level, teacher level) of equal stride, fine to coarse; levels without a partner are left out.

    Where no stride is shared, each student level goes with the nearest teacher level within a factor of two, each used once.

    Args:
        student: strides in pixels, fine to coarse.
        teacher: the same of the teacher.

    Returns:
        Empty where nothing is near.
    """
    equal = [(index, teacher.index(stride)) for index, stride in enumerate(student) if stride in teacher]
    if equal:
        return tuple(equal)
    apart = {(s, t): abs(math.log2(student[s] / teacher[t])) for s in range(len(student)) for t in range(len(teacher))}
    pairs: dict[int, int] = {}
    for (s, t), octaves in sorted(apart.items(), key=lambda item: item[1]):
        if octaves <= 1 and s not in pairs and t not in pairs.values():
            pairs[s] = t
    return tuple(sorted(pairs.items()))


def stride_mismatch(what: str, student: Sequence[float], teacher: Sequence[float]) -> str | None:
    """Why no level of the two sides matches, or None where one does."""
    if match_levels(student, teacher):
        return None
    ours, theirs = (f"({', '.join(f'{stride:g}' for stride in strides)})" for strides in (student, teacher))
    return f"{what} strides {ours} of the student and {theirs} of the teacher lie more than a factor of two apart"


def shown_strides(teacher: NeckShape, scale: float) -> tuple[float, ...]:
    """Strides of a teacher's neck in the student's pixels, where it is shown images `scale` times as large."""
    return tuple(stride / scale for stride in teacher.strides)


class Connectors(nn.Module):
    """Makes the levels of both sides comparable.

    A level whose channels differ gets a 1x1 convolution on the student's side; it is trained with the student and not part of it. The
    teacher's map is resampled to the student's grid where the sizes differ. The convolutions start from a seed of their own, so that
    building them changes no other random draw.

    Args:
        student: the student's neck.
        teacher: the teacher's neck; at least one pair of levels matches.
        scale: the teacher is shown images so many times as large, so that a stride of its is so many times finer in the student's pixels.
    """

    def __init__(self, student: NeckShape, teacher: NeckShape, scale: float = 1.0) -> None:
        super().__init__()
        self.pairs = match_levels(student.strides, shown_strides(teacher, scale))
        self.strides = tuple(student.strides[s] for s, _ in self.pairs)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            self.channels = nn.ModuleList(_channels(student.channels[s], teacher.channels[t]) for s, t in self.pairs)

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The matched levels (N, C, H, W) of the student and of the teacher, C the teacher's and H, W the student's, level by level."""
        left = tuple(connect(student[s]) for connect, (s, _) in zip(self.channels, self.pairs, strict=True))
        right = tuple(_to_grid(teacher[t], student[s].shape[-2:]) for s, t in self.pairs)
        return left, right


def _channels(student: int, teacher: int) -> nn.Module:
    return nn.Identity() if student == teacher else nn.Conv2d(student, teacher, kernel_size=1)


def _to_grid(level: Tensor, size: torch.Size) -> Tensor:
    """Averages over cells where the grid gets coarser, bilinear values where it gets finer."""
    if level.shape[-2:] == size:
        return level
    if level.shape[-1] > size[-1]:
        return nn.functional.adaptive_avg_pool2d(level, (size[0], size[1]))
    return nn.functional.interpolate(level, size=(size[0], size[1]), mode="bilinear", align_corners=False)
