"""Cross-head predictions (CrossKD, Wang et al., 2024): a student's head features, sent through the rest of its teacher's head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

HEADS = frozenset({"RetinaHead", "FCOSHead", "GFLHead", "LDHead", "ATSSHead"})
"""Heads whose towers `cls_convs` and `reg_convs` see one level after another, by exact name."""


def mismatch(student: Any, teacher: Any) -> str | None:
    """Why a student's head features cannot be sent through a teacher's head, or None."""
    heads = [getattr(side, "bbox_head", None) for side in (student, teacher)]
    for side, head in zip(("student", "teacher"), heads, strict=True):
        if type(head).__name__ not in HEADS or not (len(head.cls_convs) and len(head.reg_convs)):  # type: ignore[union-attr]
            return f"the head of the {side} has no tower of convolutions that is read (RetinaNet, FCOS, GFL and ATSS have one)"
    strides, channels = [_strides(head) for head in heads], [_channels(head) for head in heads]
    if strides[0] != strides[1]:
        return f"the heads have other strides, {strides[0]} and {strides[1]}"
    if channels[0] != channels[1]:
        return f"the towers have other channels, {channels[0]} in the student and {channels[1]} in the teacher"
    return None


@contextmanager
def towers(head: Any) -> Iterator[list[list[Tensor]]]:
    """Record the head features of the passes run inside: for class scores and for boxes, a tensor a level, with gradient."""
    found: list[list[Tensor]] = [[], []]

    def keep(place: int, arguments: tuple[Tensor, ...]) -> None:
        found[place].append(arguments[0].clone())  # the activation behind it may write into it

    with _hooked(head, keep):
        yield found


def crossed(head: Any, levels: Sequence[Tensor], features: Sequence[Sequence[Tensor]]) -> Any:
    """What a teacher's head returns for a student's head features.

    Args:
        head: the teacher's, frozen.
        levels: the teacher's neck levels, whose own features give the mean and the deviation of each channel.
        features: the student's of `towers`, on the same grids.
    """
    left = [iter(of_tower) for of_tower in features]
    with _hooked(head, lambda place, arguments: (aligned(next(left[place]), arguments[0]),)):
        return head(tuple(levels))


def aligned(student: Tensor, teacher: Tensor) -> Tensor:
    """The student's features (N, C, H, W) with the mean and the deviation over N, H, W of the teacher's; a channel that is constant becomes
    the teacher's mean."""
    (mean, spread), (target, width) = (_statistics(side.float()) for side in (student, teacher))
    return ((student.float() - mean) / (spread + 1e-6) * width + target).to(teacher.dtype)  # in half precision variances overflow


def _statistics(f_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    count = f_NCHW.numel() // f_NCHW.shape[1]
    variance, mean = torch.var_mean(f_NCHW, (0, 2, 3), correction=min(1, count - 1), keepdim=True)
    return mean, (variance + 1e-12).sqrt()  # a root has no gradient at 0


@contextmanager
def _hooked(head: Any, hook: Any) -> Iterator[None]:
    """Call `hook(tower, arguments)` before the activation of the last but one convolution of each tower, or before its only convolution."""
    with ExitStack() as stack:
        for place, convs in enumerate((head.cls_convs, head.reg_convs)):
            module: nn.Module = convs[-2].activate if len(convs) > 1 else convs[0]
            stack.enter_context(module.register_forward_pre_hook(lambda _, arguments, place=place: hook(place, arguments)))
        yield


def _strides(head: Any) -> list[int]:
    return [int(width) for width, _ in head.prior_generator.strides]


def _channels(head: Any) -> list[int]:
    """Of the features that are sent, of class scores and of boxes."""
    return [convs[-2].conv.out_channels if len(convs) > 1 else convs[0].conv.in_channels for convs in (head.cls_convs, head.reg_convs)]
