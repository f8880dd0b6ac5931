"""The transforms of logits (scores) and localization (distances of a box's sides from its cell)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from detkds.genome import Knowledge
from detkds.genome.words import operation

_SCORES, _SIDES = (Knowledge.LOGITS,), (Knowledge.LOCALIZATION,)

ResponseTransform = Callable[[Tensor], Tensor]
"""Scores (N, K, H, W) or sides (N, 4, H, W), float32 -> the transformed ones. Localization has one meaning under both semantics, as the
published code has none."""


@operation("reshape_N", "transform", _SCORES)
def reshape_N(p_NKHW: Tensor) -> Tensor:  # noqa: N802
    """(N, K, H, W) -> (N, KHW, 1, 1): one row an image, so that distances over classes run over all of its scores."""
    return p_NKHW.flatten(1)[:, :, None, None]


@operation("reshape_C", "transform", _SCORES)
def reshape_C(p_NKHW: Tensor) -> Tensor:  # noqa: N802
    """(N, K, H, W) -> (K, NHW, 1, 1): one row a class, so that distances over classes run over all of its cells."""
    return p_NKHW.transpose(0, 1).flatten(1)[:, :, None, None]


@operation("softmax_N", "transform", (*_SCORES, *_SIDES))
def softmax_N(p: Tensor) -> Tensor:  # noqa: N802
    """Softmax over the batch axis (RoI heads: over the proposals)."""
    return p.softmax(0)


@operation("softmax_C", "transform", (*_SCORES, *_SIDES))
def softmax_C(p: Tensor) -> Tensor:  # noqa: N802
    """Softmax over the classes, or over the four sides of a box."""
    return p.softmax(1)


@operation("pow2", "transform", _SIDES)
def pow2(sides: Tensor) -> Tensor:
    """x |x|: the square, which keeps what is positive positive, and for a cell outside its box keeps the sides ordered."""
    return sides * sides.abs()


@operation("sigmoid", "transform", _SIDES)
def sigmoid(sides: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return sides.sigmoid()
