"""What is read of a detector during its one forward pass: neck levels, head outputs and proposals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from detkds.errors import ConfigError


@dataclass
class Tapped:
    """What one forward pass left behind.

    Args:
        levels: neck levels, fine to coarse, each (N, C, H, W); the backbone's where there is no neck.
        outputs: what the box head returned: lists of a tensor a level for dense heads, (scores, deltas) for RoI heads, (scores, boxes) of
            every decoder layer for DETR-like heads.
        towers: head features of `heads.crossing`, where a loss asks for them.
        rois: (R, 5) image index and x1, y1, x2, y2 in pixels of the padded batch, for RoI heads.
    """

    levels: tuple[Tensor, ...] = field(default=())
    outputs: tuple[Any, ...] | None = None
    towers: Sequence[Sequence[Tensor]] | None = None
    rois: Tensor | None = None


def neck_of(detector: Any) -> nn.Module:
    """The module whose output is the feature levels."""
    module: nn.Module = detector.neck if getattr(detector, "with_neck", False) else detector.backbone
    return module


@contextmanager
def tap(detector: Any) -> Iterator[Tapped]:
    """Record the forward passes run inside through hooks that are gone afterwards; nothing is computed twice.

    In a head of several stages the first pass is kept.
    """
    tapped = Tapped()

    def keep_levels(module: nn.Module, inputs: Any, output: Any) -> None:
        tapped.levels = tuple(output)

    def keep_outputs(module: nn.Module, inputs: Any, output: Any) -> None:
        tapped.outputs = tapped.outputs or tuple(output)

    def keep_rois(module: nn.Module, inputs: Any) -> None:
        tapped.rois = inputs[1] if tapped.rois is None else tapped.rois

    handles = [neck_of(detector).register_forward_hook(keep_levels)]
    roi_head = getattr(detector, "roi_head", None)
    head = getattr(detector if roi_head is None else roi_head, "bbox_head", None)
    if isinstance(head, nn.Module) and not isinstance(head, nn.ModuleList):
        handles.append(head.register_forward_hook(keep_outputs))
        if roi_head is not None:
            handles.append(roi_head.bbox_roi_extractor.register_forward_pre_hook(keep_rois))
    try:
        yield tapped
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class NeckShape:
    """Stride in pixels and channels of each neck level, fine to coarse."""

    strides: tuple[int, ...]
    channels: tuple[int, ...]


_SHAPES: WeakKeyDictionary[nn.Module, NeckShape] = WeakKeyDictionary()


def neck_shape(detector: nn.Module, size: int = 256) -> NeckShape:
    """Measure the neck levels on one blank image, once a detector; the detector is left as it was.

    Measured and not read from the config: every neck has levels, few say which.

    Args:
        size: side of the image in pixels; strides up to this size can be distinguished.

    Raises:
        ConfigError: the detector cannot look at an image of this size.
    """
    if detector not in _SHAPES:
        _SHAPES[detector] = _measure(detector, size)
    return _SHAPES[detector]


def _measure(module: Any, size: int) -> NeckShape:
    modes = {part: part.training for part in module.modules()}
    parameter = next(module.parameters())
    module.eval()
    try:
        with torch.no_grad():
            levels = module.extract_feat(torch.zeros(1, 3, size, size, device=parameter.device, dtype=parameter.dtype))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"{type(module).__name__} cannot look at an image of {size} x {size} px: {reason}; take another detector."
        ) from error
    finally:
        for part, training in modes.items():
            part.training = training
    return NeckShape(tuple(size // level.shape[-1] for level in levels), tuple(level.shape[1] for level in levels))
