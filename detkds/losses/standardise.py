"""Centring and scaling along axes: what the norms, pearson, cosine and cor share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

EPS = 1e-6
"""ε of SEMANTICS' (f - μ)/sqrt(σ² + ε). It bounds the gradient where a channel is dead: at most 1/sqrt(ε) = 1000."""


def unit(f: Tensor, dims: tuple[int, ...], eps: float | Tensor = EPS) -> Tensor:
    """f / sqrt(mean f² + ε) over `dims`: root mean square 1, or 0 where f is 0. Same shape."""
    return f * torch.rsqrt(f.square().mean(dims, keepdim=True) + eps)


def standardise(f: Tensor, dims: tuple[int, ...], eps: float = EPS) -> Tensor:
    """(f - μ) / sqrt(σ² + ε) over `dims` (Eq. 6): mean 0, variance 1, or 0 where f does not vary. Same shape."""
    return unit(f - f.mean(dims, keepdim=True), dims, eps)


def standardise_positions(f_NCHW: Tensor) -> Tensor:
    """`standardise` over (H, W), by the fused kernel."""
    return F.layer_norm(f_NCHW, f_NCHW.shape[2:], eps=EPS)


def standardise_channels(f_NCHW: Tensor) -> Tensor:
    """`standardise` over (N, H, W), by the fused kernel; one value a channel leaves 0, which that kernel refuses."""
    if f_NCHW.numel() == f_NCHW.shape[1]:
        return standardise(f_NCHW, (0, 2, 3))
    return F.batch_norm(f_NCHW, None, None, training=True, eps=EPS)


def half_squared_chord(a: Tensor, b: Tensor, dims: tuple[int, ...]) -> Tensor:
    """½ mean (a - b)² over `dims`: for inputs of `unit` this is 1 - cosine, and of `standardise` 1 - correlation.

    Unlike those it is exactly 0 at equality, also where both sides are 0 or constant.
    """
    return 0.5 * (a - b).square().mean(dims)
