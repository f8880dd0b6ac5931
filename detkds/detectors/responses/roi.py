"""Responses of two-stage detectors: both box heads look at the student's proposals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkds.losses.views import Response

ROI_HEADS = frozenset({"StandardRoIHead", "DynamicRoIHead", "PISARoIHead", "CascadeRoIHead"})
BOX_HEADS = frozenset({"BBoxHead", "ConvFCBBoxHead", "Shared2FCBBoxHead", "Shared4Conv1FCBBoxHead"})


class RoI:
    """Reads the box heads of a student and a teacher on the proposals that the student trains on in this step.

    Scores are the softmax over classes without the background's column. A proposal's box is that of the class that the teacher finds best,
    on both sides, so that like is compared with like; a class-agnostic head has but one box. A cascade teacher refines the proposals stage
    by stage, its logits averaged over the stages and its box the last stage's, as in its own prediction.

    Args:
        student: a detector that `reads` accepts, with a single stage.
        teacher: the same, or a cascade.
    """

    name = "two-stage"

    def __init__(self, student: Any, teacher: Any) -> None:
        self.student, self.teacher = student.roi_head, teacher.roi_head

    @staticmethod
    def reads(detector: nn.Module) -> bool:
        """Whether this family understands the detector's heads."""
        roi_head: Any = getattr(detector, "roi_head", None)
        return type(roi_head).__name__ in ROI_HEADS and all(map(_reads_head, _stages(roi_head)))

    @staticmethod
    def mismatch(student: Any, teacher: Any) -> str | None:
        """Why the responses of two detectors of this family cannot be compared, or None."""
        return "a cascade student trains each stage on other proposals" if isinstance(student.roi_head.bbox_head, nn.ModuleList) else None

    def __call__(self, outputs: Any, rois: Tensor | None, levels: Sequence[Tensor]) -> tuple[Response, Response]:
        """The student's and the teacher's response, one level of shape (R, …, 1, 1); the teacher's without gradient.

        Args:
            outputs: scores (R, K + 1) and deltas (R, 4 K or 4) of the student's box head in this step.
            rois: (R, 5) the proposals they belong to.
            levels: the teacher's neck levels.
        """
        assert rois is not None
        with torch.no_grad():
            scores, boxes, labels = run_stages(self.teacher, levels, rois)
        ours = outputs[0].float().softmax(1)[:, :-1]
        return _response(ours, box_of(self.student.bbox_head, rois, outputs[1], labels), rois), _response(scores, boxes, rois)


def _reads_head(head: Any) -> bool:
    return type(head).__name__ in BOX_HEADS and head.with_cls and head.with_reg and not head.custom_cls_channels


def run_stages(roi_head: Any, levels: Sequence[Tensor], rois: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (R, K), boxes (R, 4) of the best class in pixels, and that class (R,), of one head or of a cascade."""
    logits = []
    heads = _stages(roi_head)
    for stage, head in enumerate(heads):
        cascade = (stage,) if isinstance(roi_head.bbox_head, nn.ModuleList) else ()
        result = roi_head._bbox_forward(*cascade, levels, rois)
        logits.append(result["cls_score"].float())
        mean = torch.stack(logits).mean(0) if stage == len(heads) - 1 else logits[-1]
        labels = mean[:, :-1].argmax(1)
        boxes = box_of(head, rois, result["bbox_pred"], labels)
        if stage < len(heads) - 1:
            rois = torch.cat([rois[:, :1], _inside(boxes, levels[0], roi_head.bbox_roi_extractor[stage].featmap_strides[0])], 1)
    return mean.softmax(1)[:, :-1], boxes, labels


def box_of(head: Any, rois: Tensor, deltas: Tensor, labels: Tensor) -> Tensor:
    """(R, 4) pixels: the box of the given class, decoded by the head's own coder and not clipped."""
    deltas = deltas.float()
    if not head.reg_class_agnostic:
        deltas = deltas.reshape(len(deltas), head.num_classes, 4)[torch.arange(len(deltas), device=deltas.device), labels]
    return head.bbox_coder.decode(rois[:, 1:].float(), deltas)  # type: ignore[no-any-return]


def _inside(boxes: Tensor, level: Tensor, stride: int) -> Tensor:
    """Boxes clipped to the padded batch, whose size is the level's times its stride."""
    height, width = (size * stride for size in level.shape[-2:])
    return torch.stack([corner.clamp(0, limit) for corner, limit in zip(boxes.unbind(1), (width, height, width, height), strict=True)], 1)


def _stages(roi_head: Any) -> list[Any]:
    return list(roi_head.bbox_head) if isinstance(roi_head.bbox_head, nn.ModuleList) else [roi_head.bbox_head]


def _response(scores: Tensor, boxes: Tensor, rois: Tensor) -> Response:
    """With the proposals' centres as cell centres and their sizes, at least a pixel, as units."""
    corners = rois[:, 1:].float()
    centres, sizes = (corners[:, :2] + corners[:, 2:]) / 2, (corners[:, 2:] - corners[:, :2]).clamp(min=1)
    return Response(*((value[:, :, None, None],) for value in (scores, boxes, centres, sizes)))
