"""Statistics that hold on small and quiet maps: what semantics `sound` standardises with."""

from __future__ import annotations

from torch import Tensor

from detkds.losses.standardise import unit

ENOUGH = 9
"""A statistic over positions is taken over so many or more, a 3 x 3 map; of fewer, standardising leaves little more than signs."""
SHARE = 0.1
"""ε as a share of the teacher's mean variance: what varies less than the map does on average is enlarged no more than 3.2 times as much."""
TINY = 1e-12
"""Keeps 0/0 away where the teacher does not vary at all."""


def relative(f: Tensor, teacher: Tensor, dims: tuple[int, ...], *, centred: bool = True) -> Tensor:
    """(f - μ) / sqrt(σ² + ε) over `dims`, or f / sqrt(mean f² + ε) where not `centred`; ε = 0.1 · the teacher's σ² (mean square), averaged
    over all that is left. Same shape."""
    t = teacher - teacher.mean(dims, keepdim=True) if centred else teacher
    eps = SHARE * t.square().mean() + TINY
    return unit(f - f.mean(dims, keepdim=True) if centred else f, dims, eps)


def positions(f_NCHW: Tensor) -> tuple[int, ...]:
    """The axes of a statistic over the positions of a map: those of the batch too where a map has too few."""
    return (2, 3) if f_NCHW.shape[2] * f_NCHW.shape[3] >= ENOUGH else (0, 2, 3)


def grid(n: int, f_NCHW: Tensor) -> int:
    """The largest m up to n such that a map in m x m parts, or pooled to cells of m x m, has ENOUGH cells in a part, or in all."""
    height, width = f_NCHW.shape[2:]
    return next((m for m in range(n, 1, -1) if -(-height // m) * -(-width // m) >= ENOUGH), 1)
