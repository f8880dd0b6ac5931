"""The transforms of logits (scores) and localization (distances of a box's sides from its cell)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from detkds.losses.transforms.normalise import NORMS, no_norm

ResponseTransform = Callable[[Tensor], Tensor]


def reshape_N(p_NKHW: Tensor) -> Tensor:  # noqa: N802
    """(N, K, H, W) -> (N, KHW, 1, 1): one row an image, so that distances over classes run over all of its scores."""
    return p_NKHW.flatten(1)[:, :, None, None]


def reshape_C(p_NKHW: Tensor) -> Tensor:  # noqa: N802
    """(N, K, H, W) -> (K, NHW, 1, 1): one row a class, so that distances over classes run over all of its cells."""
    return p_NKHW.transpose(0, 1).flatten(1)[:, :, None, None]


def softmax_N(p: Tensor) -> Tensor:  # noqa: N802
    """Softmax over the batch axis (RoI heads: over the proposals)."""
    return p.softmax(0)


def softmax_C(p: Tensor) -> Tensor:  # noqa: N802
    """Softmax over the classes, or over the four sides of a box."""
    return p.softmax(1)


def pow2(sides: Tensor) -> Tensor:
    """x |x|: the square, which keeps what is positive positive, and for a cell outside its box keeps the sides ordered."""
    return sides * sides.abs()


def sigmoid(sides: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return sides.sigmoid()


def _logits(semantics: str) -> dict[str, ResponseTransform]:
    shared = {word: NORMS[semantics][word] for word in ("none", "norm_N", "norm_C", "norm_minmax", "norm_batch")}
    return {**shared, "score": no_norm, "reshape_N": reshape_N, "reshape_C": reshape_C, "softmax_N": softmax_N, "softmax_C": softmax_C}


LOGITS_TRANSFORMS: dict[str, dict[str, ResponseTransform]] = {semantics: _logits(semantics) for semantics in NORMS}
"""Semantics to word to operation on scores (N, K, H, W); score weighs the cells and leaves the scores."""

LOCALIZATION_TRANSFORMS: dict[str, ResponseTransform] = {
    "none": no_norm, "softmax_N": softmax_N, "softmax_C": softmax_C, "pow2": pow2, "sigmoid": sigmoid,
}  # fmt: skip
"""Word to operation on sides (N, 4, H, W); both semantics, as the published code has no localization."""
