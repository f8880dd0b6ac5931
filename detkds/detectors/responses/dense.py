"""Responses of dense heads: anchors with deltas (RetinaNet, ATSS), points with distances (FCOS), distributions over distances (GFL)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkds.detectors.connectors import match_levels, stride_mismatch
from detkds.losses.views import Response

HEADS = frozenset(
    {"RetinaHead", "RetinaSepBNHead", "FreeAnchorRetinaHead", "PISARetinaHead", "ATSSHead", "FCOSHead", "NASFCOSHead", "GFLHead", "LDHead"}
)
"""By exact name: subclasses of these in mmdet give their outputs other meanings."""


class Dense:
    """Reads the heads of a student and a teacher as one grid of scores and boxes a level.

    A cell's score of a class is the highest of its anchors, after the head's own activation and times the head's own quality factor
    (centerness) where it has one: the number by which the head ranks its detections, so that different heads mean the same by it.
    A cell's box is that of its best anchor. Where both heads have the same anchors, the teacher's best anchor is taken on both sides, so
    that like is compared with like; otherwise each side has its own.

    Args:
        student: a detector that `reads` accepts.
        teacher: the same.
    """

    name = "dense"

    def __init__(self, student: Any, teacher: Any) -> None:
        self.student, self.teacher = student.bbox_head, teacher.bbox_head
        self.same_anchors = _same_anchors(self.student, self.teacher)
        self.pairs = match_levels(_strides(self.student), _strides(self.teacher))

    @staticmethod
    def reads(detector: nn.Module) -> bool:
        """Whether this family understands the detector's head."""
        head: Any = getattr(detector, "bbox_head", None)
        return type(head).__name__ in HEADS and not getattr(head.loss_cls, "custom_cls_channels", False)

    @staticmethod
    def mismatch(student: Any, teacher: Any) -> str | None:
        """Why the responses of two detectors of this family cannot be compared, or None."""
        return stride_mismatch("head", _strides(student.bbox_head), _strides(teacher.bbox_head))

    def __call__(self, outputs: Any, rois: Tensor | None, levels: Sequence[Tensor]) -> tuple[Response, Response]:
        """The student's and the teacher's response, level by level of equal shapes; the teacher's without gradient.

        Args:
            outputs: what the student's head returned in this step.
            rois: not used by dense heads.
            levels: the teacher's neck levels.
        """
        with torch.no_grad():
            theirs = [read_level(self.teacher, level, t) for t, level in self._levels(self.teacher(levels), 1)]
        ours = []
        for (s, level), (_, choice) in zip(self._levels(outputs, 0), theirs, strict=True):
            ours.append(read_level(self.student, level, s, choice if self.same_anchors else None))
        pairs = [_same_grid(o, t) for (o, _), (t, _) in zip(ours, theirs, strict=True)]
        return _join([student for student, _ in pairs]), _join([teacher for _, teacher in pairs])

    def _levels(self, outputs: Any, side: int) -> list[tuple[int, tuple[Tensor, ...]]]:
        """(level index, the head's outputs at that level) for each matched level of one side."""
        return [(pair[side], tuple(kind[pair[side]] for kind in outputs)) for pair in self.pairs]


Level = tuple[Tensor, Tensor, Tensor, Tensor]
"""scores (N, K, H, W), boxes (N, 4, H, W), centres (1, 2, H, W), units (1, 2, 1, 1) of one level, as in Response."""


def read_level(head: Any, outputs: Sequence[Tensor], index: int, choice: Tensor | None = None) -> tuple[Level, Tensor]:
    """One level of a dense head.

    Args:
        head: the mmdet head.
        outputs: class scores (N, A K, H, W), boxes (N, A D, H, W) and, where the head has one, a quality factor (N, A, H, W), as the
            head returns them.
        index: of the level.
        choice: (N, H, W) which anchor's box to take in each cell; None takes the best scored.

    Returns:
        The level, float32, and the choice made. Gradients flow to the outputs.
    """
    scores_NAKHW = _scores(head, outputs)
    if choice is None:
        choice = scores_NAKHW.detach().amax(2).argmax(1)
    boxes = _boxes(head, outputs[1], choice, scores_NAKHW.shape[1], index)
    return (scores_NAKHW.amax(1), boxes, *_grid(choice, _stride_pairs(head)[index])), choice


def _grid(choice: Tensor, stride: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Centres (1, 2, H, W) and sizes (1, 2, 1, 1) of the cells in pixels."""
    x, y = ((torch.arange(cells, device=choice.device) + 0.5) * side for cells, side in zip(choice.shape[:0:-1], stride, strict=True))
    centres = torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]
    return centres, torch.stack([torch.full((1, 1), float(side), device=choice.device) for side in stride])[None]


def _scores(head: Any, outputs: Sequence[Tensor]) -> Tensor:
    """(N, A, K, H, W) in [0, 1]: each anchor's score of each class."""
    N, _, H, W = outputs[0].shape
    logits = outputs[0].float().reshape(N, -1, head.cls_out_channels, H, W)
    scores = logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(2)[:, :, :-1]  # the last one is background
    return scores * outputs[2].float().sigmoid()[:, :, None] if len(outputs) > 2 else scores


def _boxes(head: Any, encoded: Tensor, choice: Tensor, anchors: int, index: int) -> Tensor:
    """(N, 4, H, W) pixels: the box of the chosen anchor of each cell, decoded by the head's own coder and not clipped."""
    N, H, W = choice.shape
    encoded_NHWAD = encoded.float().reshape(N, anchors, -1, H, W).permute(0, 3, 4, 1, 2)
    priors = head.prior_generator.single_level_grid_priors((H, W), index, dtype=torch.float32, device=encoded.device)
    priors_NHWAP = priors.reshape(1, H, W, anchors, -1).expand(N, -1, -1, -1, -1)
    chosen, priors = (_choose(values, choice) for values in (encoded_NHWAD, priors_NHWAP))
    stride = _stride_pairs(head)[index][0]
    if hasattr(head, "integral"):  # GFL: the mean of a distribution over bins, in units of the stride
        priors, chosen = head.anchor_center(priors), head.integral(chosen) * stride
    elif head.training and getattr(head, "norm_on_bbox", False):  # FCOS leaves the stride out of what it returns in training
        chosen = chosen * stride
    return head.bbox_coder.decode(priors, chosen).reshape(N, H, W, 4).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


def _choose(values_NHWAD: Tensor, choice: Tensor) -> Tensor:
    """(N H W, D): the values of the chosen anchor of each cell."""
    index = choice[..., None, None].expand(*choice.shape, 1, values_NHWAD.shape[-1])
    return values_NHWAD.gather(3, index).flatten(0, 3)


def _stride_pairs(head: Any) -> list[tuple[int, int]]:
    """(width, height) in pixels of a cell of each level."""
    pairs: list[tuple[int, int]] = head.prior_generator.strides
    return pairs


def _strides(head: Any) -> tuple[int, ...]:
    return tuple(int(width) for width, _ in _stride_pairs(head))


def _same_anchors(student: Any, teacher: Any) -> bool:
    """Whether anchor number a means the same box on both sides, wherever the strides are equal."""
    first, second = (getattr(head.prior_generator, "base_anchors", None) for head in (student, teacher))
    if first is None or second is None or type(student.bbox_coder) is not type(teacher.bbox_coder):
        return False
    if _strides(student) != _strides(teacher):
        return False
    return all(a.shape == b.shape and torch.allclose(a, b) for a, b in zip(first, second, strict=True))


def _same_grid(student: Level, teacher: Level) -> tuple[Level, Level]:
    """Repeat the cells of the coarser grid so that both have the finer one; boxes and scores of two objects are never blended."""
    ours, theirs = student[0].shape[-2:], teacher[0].shape[-2:]
    if ours == theirs:
        return student, teacher
    finer = student if ours.numel() > theirs.numel() else teacher
    return _repeat(student, finer), _repeat(teacher, finer)


def _repeat(level: Level, finer: Level) -> Level:
    if level is finer:
        return level
    size = finer[0].shape[-2:]
    scores, boxes = (nn.functional.interpolate(value, size=(size[0], size[1]), mode="nearest") for value in level[:2])
    return scores, boxes, finer[2], finer[3]


def _join(levels: Sequence[Level]) -> Response:
    scores, boxes, centres, units = zip(*levels, strict=True)
    return Response(scores=scores, boxes=boxes, centres=centres, units=units)
