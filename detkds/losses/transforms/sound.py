"""Norms and scales of semantics `sound`: statistics over enough positions, with an ε that follows the teacher's own scale."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from detkds.genome import Knowledge
from detkds.genome.words import operation
from detkds.losses.relative import SHARE, TINY, grid, positions, relative
from detkds.losses.transforms.normalise import SMALLEST_BATCH
from detkds.losses.transforms.scale import local, no_scale, pool

_SCORES, _SOUND = (Knowledge.LOGITS,), ("sound",)


class Paired:
    """A norm whose ε depends on the teacher.

    Args:
        norm: (f, teacher) -> f normalised, all (N, C, H, W).
    """

    def __init__(self, norm: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._norm = norm

    def __call__(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Both sides, normalised."""
        return self._norm(student, teacher), self._norm(teacher, teacher)


def normalised(norm: Callable[..., Tensor] | Paired, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both sides after a norm or transform, whichever way it works."""
    return norm(student, teacher) if isinstance(norm, Paired) else (norm(student), norm(teacher))


def _over_positions(f: Tensor, teacher: Tensor) -> Tensor:
    return relative(f, teacher, positions(teacher))


def _over_channels(f: Tensor, teacher: Tensor) -> Tensor:
    return relative(f, teacher, (1,))


def _over_batch(f: Tensor, teacher: Tensor) -> Tensor:
    return relative(f, teacher, (0,), centred=len(teacher) >= SMALLEST_BATCH)


def _of_channels(f: Tensor, teacher: Tensor) -> Tensor:
    return relative(f, teacher, (0, 2, 3))


def _stretched(f: Tensor, teacher: Tensor) -> Tensor:
    dims = positions(teacher)
    span = teacher.amax(dims, keepdim=True) - teacher.amin(dims, keepdim=True)
    low, high = f.amin(dims, keepdim=True), f.amax(dims, keepdim=True)
    return (f - low) * torch.rsqrt((high - low).square() + SHARE * span.square().mean() + TINY)


def _pooled(n: int, student: Tensor, teacher: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    m = grid(n, teacher)
    return pool(m, student, teacher, weight) if m > 1 else no_scale(student, teacher, weight)


def _cut(n: int, student: Tensor, teacher: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    m = grid(n, teacher)
    return local(m, student, teacher, weight) if m > 1 else no_scale(student, teacher, weight)


_NORMS = {
    "norm_HW": _over_positions, "norm_C": _over_channels, "norm_N": _over_batch, "norm_minmax": _stretched, "norm_batch": _of_channels,
}  # fmt: skip
for _name, _norm in _NORMS.items():
    operation(_name, "norm", semantics=_SOUND)(Paired(_norm))
    if _name != "norm_HW":
        operation(_name, "transform", _SCORES, _SOUND)(Paired(_norm))
for _n in (2, 4):
    operation(f"scale_{_n}", "scale", semantics=_SOUND)(partial(_pooled, _n))
    operation(f"local_{_n}", "scale", semantics=_SOUND)(partial(_cut, _n))
