"""The attention slot: satt, catt, mask (Eq. 4, 9, 10); smap, cmap; and tatt, jatt, which look at whole levels."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from detkds.genome.words import NONE, operation

_PAPER, _RELEASED = ("paper", "sound"), ("released",)

TAU = 0.5
"""τ, temperature of the attention softmax."""

LAMBDA = 0.65
"""λ of Eq. 10: the share of positions that the mask hides."""

Attention = Callable[[Tensor, Tensor, Generator], tuple[Tensor, Tensor]]
"""(student, teacher, generator of the step) -> the same pair after attention; (N, C, H, W) float32. It acts on what a region or crop
leaves of a level; tatt and jatt, without the generator, act on whole levels before that."""


def spatial_attention(f_NCHW: Tensor, power: float = 1.0) -> Tensor:
    """(HW · softmax_HW(mean_C |f| / τ))^power: (N, 1, H, W), positive, for power 1 of mean 1 over positions."""
    height, width = f_NCHW.shape[2:]
    return _raised_softmax(spatial_map(f_NCHW).flatten(2) / TAU, -1, height * width, power).view(-1, 1, height, width)


def channel_attention(f_NCHW: Tensor, power: float = 1.0) -> Tensor:
    """(C · softmax_C(mean_HW |f| / τ))^power (Eq. 9): (N, C, 1, 1), positive, for power 1 of mean 1 over channels."""
    return _raised_softmax(channel_map(f_NCHW) / TAU, 1, f_NCHW.shape[1], power)


def spatial_map(f_NCHW: Tensor) -> Tensor:
    """mean_C |f|: (N, 1, H, W), the attention of AT (Zagoruyko & Komodakis, 2017)."""
    return f_NCHW.abs().mean(1, keepdim=True)


def channel_map(f_NCHW: Tensor) -> Tensor:
    """mean_HW |f|: (N, C, 1, 1)."""
    return f_NCHW.abs().mean((2, 3), keepdim=True)


def _raised_softmax(energy: Tensor, dim: int, total: int, power: float) -> Tensor:
    """(total · softmax)^power, as an exponential: a root of a share that underflowed to 0 would have an infinite gradient."""
    return torch.exp(power * (energy.log_softmax(dim) + math.log(total)))


@operation("softmax", "norm")
def softmax(f_NCHW: Tensor) -> Tensor:
    """CHW · softmax(f / τ) over channels and positions together: positive, mean 1. Of smap or cmap it is FGD's attention mask."""
    flat = f_NCHW.reshape(len(f_NCHW), -1) / TAU
    return (flat.softmax(1) * flat.shape[1]).view(f_NCHW.shape)


def random_mask(f_NCHW: Tensor, generator: Generator) -> Tensor:
    """Eq. 10: (N, 1, H, W), 0 where r < λ and else 1, with r uniform in [0, 1) from a CPU generator, so that devices agree."""
    shape = (f_NCHW.shape[0], 1, *f_NCHW.shape[2:])
    kept = torch.rand(shape, generator=generator) >= LAMBDA
    return kept.to(f_NCHW.device, f_NCHW.dtype, non_blocking=True)


@operation(NONE, "attention")
def no_attention(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """The empty slot."""
    return student, teacher


@operation("satt", "attention", semantics=_PAPER)
def satt(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · A with each side's own spatial attention."""
    return student * spatial_attention(student), teacher * spatial_attention(teacher)


@operation("catt", "attention", semantics=_PAPER)
def catt(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · A with each side's own channel attention."""
    return student * channel_attention(student), teacher * channel_attention(teacher)


@operation("mask", "attention", semantics=_PAPER)
def mask(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · M with one mask for both sides, so what is hidden is hidden from both."""
    shared = random_mask(student, generator)
    return student * shared, teacher * shared


@operation("smap", "attention")
def smap(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """The spatial attention itself instead of the features: (N, 1, H, W)."""
    return spatial_map(student), spatial_map(teacher)


@operation("cmap", "attention")
def cmap(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """The channel attention itself instead of the features, at every position: (N, C, H, W)."""
    return channel_map(student).expand_as(student), channel_map(teacher).expand_as(teacher)


@operation("satt", "attention", semantics=_RELEASED)
def satt_root(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · sqrt(A), the published code's spatial attention."""
    return student * spatial_attention(student, 0.5), teacher * spatial_attention(teacher, 0.5)


@operation("catt", "attention", semantics=_RELEASED)
def catt_root(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · sqrt(A), the published code's channel attention."""
    return student * channel_attention(student, 0.5), teacher * channel_attention(teacher, 0.5)


@operation("mask", "attention", semantics=_RELEASED)
def mask_apart(student: Tensor, teacher: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """f · M with a draw of its own for each side, as the published code does."""
    return student * random_mask(student, generator), teacher * random_mask(teacher, generator)


@operation("tatt", "attention")
def teacher_attention(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """f · sqrt(A_S A_C), both of the teacher, on either side, so that a squared difference weighs A_S A_C (FGD)."""
    factor = spatial_attention(teacher, 0.5) * channel_attention(teacher, 0.5)
    return student * factor, teacher * factor


@operation("jatt", "attention")
def joint_attention(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """f · sqrt(A_S A_C), A = softmax of both sides' maps added, without gradient (FKD)."""
    ours = student.detach()
    height, width = ours.shape[2:]
    spatial = (spatial_map(ours) + spatial_map(teacher)).flatten(2) / TAU
    channels = (channel_map(ours) + channel_map(teacher)) / TAU
    of_positions = _raised_softmax(spatial, -1, height * width, 0.5).view(-1, 1, height, width)
    factor = of_positions * _raised_softmax(channels, 1, ours.shape[1], 0.5)
    return student * factor, teacher * factor
