"""The attention slot: satt, catt, mask (Eq. 4, 9, 10)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

TAU = 0.5
"""τ, temperature of the attention softmax."""

LAMBDA = 0.65
"""λ of Eq. 10: the share of positions that the mask hides."""

Attention = Callable[[Tensor, Tensor, Generator], tuple[Tensor, Tensor]]
"""(student, teacher, generator of the step) -> the same pair after attention; (N, C, H, W) float32."""


def spatial_attention(f_NCHW: Tensor, power: float = 1.0) -> Tensor:
    """(HW · softmax_HW(mean_C |f| / τ))^power: (N, 1, H, W), positive, for power 1 of mean 1 over positions."""
    height, width = f_NCHW.shape[2:]
    energy = f_NCHW.abs().mean(1, keepdim=True).flatten(2) / TAU
    return _raised_softmax(energy, -1, height * width, power).view(-1, 1, height, width)


def channel_attention(f_NCHW: Tensor, power: float = 1.0) -> Tensor:
    """(C · softmax_C(mean_HW |f| / τ))^power (Eq. 9): (N, C, 1, 1), positive, for power 1 of mean 1 over channels."""
    energy = f_NCHW.abs().mean((2, 3), keepdim=True) / TAU
    return _raised_softmax(energy, 1, f_NCHW.shape[1], power)


def _raised_softmax(energy: Tensor, dim: int, total: int, power: float) -> Tensor:
    """(total · softmax)^power, as an exponential: a root of a share that underflowed to 0 would have an infinite gradient."""
    return torch.exp(power * (energy.log_softmax(dim) + math.log(total)))


def random_mask(f_NCHW: Tensor, generator: Generator) -> Tensor:
    """Eq. 10: (N, 1, H, W), 0 where r < λ and else 1, with r uniform in [0, 1) from a CPU generator, so that devices agree."""
    shape = (f_NCHW.shape[0], 1, *f_NCHW.shape[2:])
    kept = torch.rand(shape, generator=generator) >= LAMBDA
    return kept.to(f_NCHW.device, f_NCHW.dtype, non_blocking=True)


def no_attention(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """The empty slot."""
    return student, teacher


def satt(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · A with each side's own spatial attention."""
    return student * spatial_attention(student), teacher * spatial_attention(teacher)


def catt(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · A with each side's own channel attention."""
    return student * channel_attention(student), teacher * channel_attention(teacher)


def mask(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · M with one mask for both sides, so what is hidden is hidden from both."""
    shared = random_mask(student, generator)
    return student * shared, teacher * shared


def satt_root(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · sqrt(A), the published code's spatial attention."""
    return student * spatial_attention(student, 0.5), teacher * spatial_attention(teacher, 0.5)


def catt_root(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · sqrt(A), the published code's channel attention."""
    return student * channel_attention(student, 0.5), teacher * channel_attention(teacher, 0.5)


def mask_apart(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · M with a draw of its own for each side, as the published code does."""
    return student * random_mask(student, generator), teacher * random_mask(teacher, generator)


ATTENTIONS: dict[str, dict[str, Attention]] = {
    "paper": {"none": no_attention, "satt": satt, "catt": catt, "mask": mask},
    "released": {"none": no_attention, "satt": satt_root, "catt": catt_root, "mask": mask_apart},
}
"""Semantics to word to operation."""
