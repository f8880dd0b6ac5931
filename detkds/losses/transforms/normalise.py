"""The norm slot of features (Eq. 6) and the norms that logits share with it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from detkds.genome import Knowledge
from detkds.genome.words import NONE, operation
from detkds.losses.standardise import EPS, standardise, standardise_channels, standardise_positions, unit

Norm = Callable[[Tensor], Tensor]
"""(N, C, H, W) float32 -> the same shape."""

_SCORES = (Knowledge.LOGITS,)
_PAPER, _RELEASED = ("paper",), ("released",)

SMALLEST_BATCH = 4
"""Below this many samples standardising over them leaves little more than signs."""


@operation(NONE, "norm")
@operation(NONE, "transform", (Knowledge.LOGITS, Knowledge.LOCALIZATION))
@operation("score", "transform", _SCORES)
@operation("cross", "transform", (Knowledge.LOGITS, Knowledge.LOCALIZATION))
def no_norm(f_NCHW: Tensor) -> Tensor:
    """The empty slot; score, which weighs the cells and leaves the scores; and cross, which the views have made already."""
    return f_NCHW


@operation("norm_HW", "norm", semantics=_PAPER)
def norm_HW(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """(f - μ)/sqrt(σ² + ε) over the positions of each sample and channel."""
    return standardise_positions(f_NCHW)


@operation("norm_C", "norm", semantics=_PAPER)
@operation("norm_C", "transform", _SCORES, _PAPER)
def norm_C(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """(f - μ)/sqrt(σ² + ε) over the channels at each position."""
    return standardise(f_NCHW, (1,))


@operation("norm_N", "norm", semantics=_PAPER)
@operation("norm_N", "transform", _SCORES, _PAPER)
def norm_N(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """(f - μ)/sqrt(σ² + ε) over the batch; f / rms(f) over the batch where it has fewer than 4 samples."""
    return standardise(f_NCHW, (0,)) if f_NCHW.shape[0] >= SMALLEST_BATCH else unit(f_NCHW, (0,))


@operation("norm_minmax", "norm", semantics=_PAPER)
@operation("norm_minmax", "transform", _SCORES, _PAPER)
def norm_minmax(f_NCHW: Tensor) -> Tensor:
    """(f - min)/sqrt((max - min)² + ε) over the positions of each sample and channel: [0, 1]."""
    low, high = f_NCHW.amin((2, 3), keepdim=True), f_NCHW.amax((2, 3), keepdim=True)
    return (f_NCHW - low) * ((high - low).square() + EPS).rsqrt()


@operation("norm_batch", "norm")
@operation("norm_batch", "transform", _SCORES)
def norm_batch(f_NCHW: Tensor) -> Tensor:
    """(f - μ)/sqrt(σ² + ε) of each channel over (N, H, W): the normalisation of PKD."""
    return standardise_channels(f_NCHW)


@operation("norm_HW", "norm", semantics=_RELEASED)
def length_HW(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """f / ‖f‖₂ over the positions of each sample and channel."""
    return F.normalize(f_NCHW.flatten(2), dim=2).view_as(f_NCHW)


@operation("norm_C", "norm", semantics=_RELEASED)
@operation("norm_C", "transform", _SCORES, _RELEASED)
def length_C(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """f / ‖f‖₂ over the channels at each position."""
    return F.normalize(f_NCHW, dim=1)


@operation("norm_N", "norm", semantics=_RELEASED)
@operation("norm_N", "transform", _SCORES, _RELEASED)
def length_N(f_NCHW: Tensor) -> Tensor:  # noqa: N802
    """f / ‖f‖₂ over the batch."""
    return F.normalize(f_NCHW, dim=0)


@operation("norm_minmax", "norm", semantics=_RELEASED)
@operation("norm_minmax", "transform", _SCORES, _RELEASED)
def minmax_whole(f_NCHW: Tensor) -> Tensor:
    """(f - min)/sqrt((max - min)² + ε) over the whole tensor: [0, 1]."""
    low, high = f_NCHW.amin(), f_NCHW.amax()
    return (f_NCHW - low) * ((high - low).square() + EPS).rsqrt()
