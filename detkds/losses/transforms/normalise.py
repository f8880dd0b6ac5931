"""The norm slot of features (Eq. 6) and the norms that logits share with it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from detkds.losses.standardise import EPS, standardise, standardise_channels, standardise_positions, unit
from detkds.losses.transforms.attention import softmax

Norm = Callable[[Tensor], Tensor]
"""(N, C, H, W) float32 -> the same shape."""

SMALLEST_BATCH = 4
"""Below this many samples standardising over them leaves little more than signs."""


def no_norm(f_NCHW: Tensor) -> Tensor:
    """The empty slot."""
    return f_NCHW


def norm_HW(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """(f - μ)/sqrt(σ² + ε) over the positions of each sample and channel."""
    return standardise_positions(f_NCHW)


def norm_C(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """(f - μ)/sqrt(σ² + ε) over the channels at each position."""
    return standardise(f_NCHW, (1,))


def norm_N(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """(f - μ)/sqrt(σ² + ε) over the batch; f / rms(f) over the batch where it has fewer than 4 samples."""
    return standardise(f_NCHW, (0,)) if f_NCHW.shape[0] >= SMALLEST_BATCH else unit(f_NCHW, (0,))


def norm_minmax(f_NCHW: Tensor) -> Tensor:
    """(f - min)/sqrt((max - min)² + ε) over the positions of each sample and channel: [0, 1]."""
    low, high = f_NCHW.amin((2, 3), keepdim=True), f_NCHW.amax((2, 3), keepdim=True)
    return (f_NCHW - low) * ((high - low).square() + EPS).rsqrt()


def norm_batch(f_NCHW: Tensor) -> Tensor:
    """(f - μ)/sqrt(σ² + ε) of each channel over (N, H, W): the normalisation of PKD."""
    return standardise_channels(f_NCHW)


def length_HW(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """f / ‖f‖₂ over the positions of each sample and channel."""
    return F.normalize(f_NCHW.flatten(2), dim=2).view_as(f_NCHW)


def length_C(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """f / ‖f‖₂ over the channels at each position."""
    return F.normalize(f_NCHW, dim=1)


def length_N(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """f / ‖f‖₂ over the batch."""
    return F.normalize(f_NCHW, dim=0)


def minmax_whole(f_NCHW: Tensor) -> Tensor:
    """(f - min)/sqrt((max - min)² + ε) over the whole tensor: [0, 1]."""
    low, high = f_NCHW.amin(), f_NCHW.amax()
    return (f_NCHW - low) * ((high - low).square() + EPS).rsqrt()


NORMS: dict[str, dict[str, Norm]] = {
    "paper": {
        "none": no_norm, "norm_HW": norm_HW, "norm_C": norm_C, "norm_N": norm_N, "norm_minmax": norm_minmax, "norm_batch": norm_batch,
        "softmax": softmax,
    },
    "released": {
        "none": no_norm, "norm_HW": length_HW, "norm_C": length_C, "norm_N": length_N,
        "norm_minmax": minmax_whole, "norm_batch": norm_batch, "softmax": softmax,
    },
}  # fmt: skip
"""Semantics to word to operation."""
