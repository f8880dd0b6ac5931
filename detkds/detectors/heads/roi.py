"""Responses of two-stage detectors: both box heads look at the student's proposals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkds.detectors.heads.predictions import Family, Predictions, best, response
from detkds.detectors.taps import Tapped
from detkds.losses.views import Response

ROI_HEADS = frozenset({"StandardRoIHead", "DynamicRoIHead", "PISARoIHead", "CascadeRoIHead"})
BOX_HEADS = frozenset({"BBoxHead", "ConvFCBBoxHead", "Shared2FCBBoxHead", "Shared4Conv1FCBBoxHead"})


class RoI(Family):
    """Two-stage detectors, with one box head or a cascade of them; a mask head beside it is not looked at."""

    @staticmethod
    def reads(detector: nn.Module) -> bool:
        """Whether this family understands the detector's heads."""
        roi_head: Any = getattr(detector, "roi_head", None)
        return type(roi_head).__name__ in ROI_HEADS and all(map(_reads_head, _stages(roi_head)))

    def predictions(self, tapped: Tapped, samples: Any) -> list[Predictions]:
        """The most confident of the proposals that the student trained on, each with the box of its own best class."""
        assert tapped.outputs is not None
        assert tapped.rois is not None
        scores = tapped.outputs[0].float().softmax(1)[:, :-1]
        boxes = box_of(self.detector.roi_head.bbox_head, tapped.rois, tapped.outputs[1], scores.detach().argmax(1))
        images = tapped.rois[:, 0]
        return [best(Predictions(scores[images == index], boxes[images == index])) for index in range(len(samples))]

    def asked(self, levels: Sequence[Tensor], samples: Any, about: Sequence[Predictions]) -> list[tuple[Tensor, Predictions]]:
        """Scores and refined box of each of the student's boxes, taken as proposals."""
        places = torch.cat([predictions.boxes for predictions in about])
        numbers = torch.cat([torch.full((len(predictions.boxes), 1), float(index)).to(places) for index, predictions in enumerate(about)])
        rois = torch.cat([numbers, _inside(places, levels[0], _extractor(self.detector.roi_head, 0).featmap_strides[0])], 1)
        scores, boxes, _ = run_stages(self.detector.roi_head, levels, rois)
        counts = [len(predictions.boxes) for predictions in about]
        images = zip(torch.split(scores, counts), torch.split(boxes, counts), strict=True)
        return [(torch.arange(len(image[0]), device=boxes.device), Predictions(*image)) for image in images]


class Proposals:
    """Reads the box heads of a two-stage student and teacher on the proposals that the student trains on in this step.

    Scores are the softmax over classes without the background's column. A proposal's box is that of the class that the teacher finds best,
    on both sides, so that like is compared with like; a class-agnostic head has but one box. A cascade teacher refines the proposals stage
    by stage, its logits averaged over the stages and its box the last stage's, as in its own prediction.

    Args:
        student: a detector of the family RoI, with a single stage.
        teacher: the same, or a cascade.
    """

    def __init__(self, student: Any, teacher: Any) -> None:
        self.student, self.teacher = student.roi_head, teacher.roi_head

    def __call__(self, tapped: Tapped, levels: Sequence[Tensor], samples: Any) -> tuple[Response, Response]:
        """The student's and the teacher's response, one level of shape (R, …, 1, 1); the teacher's without gradient."""
        outputs, rois = tapped.outputs, tapped.rois
        assert outputs is not None
        assert rois is not None
        with torch.no_grad():
            scores, boxes, labels = run_stages(self.teacher, levels, rois)
        ours = Predictions(outputs[0].float().softmax(1)[:, :-1], box_of(self.student.bbox_head, rois, outputs[1], labels))
        return response(ours, rois[:, 1:]), response(Predictions(scores, boxes), rois[:, 1:])


def is_cascade(detector: Any) -> bool:
    """Whether a two-stage detector refines its proposals stage by stage."""
    return isinstance(detector.roi_head.bbox_head, nn.ModuleList)


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
            rois = torch.cat([rois[:, :1], _inside(boxes, levels[0], _extractor(roi_head, stage).featmap_strides[0])], 1)
    return mean.softmax(1)[:, :-1], boxes, labels


def box_of(head: Any, rois: Tensor, deltas: Tensor, labels: Tensor) -> Tensor:
    """(R, 4) pixels: the box of the given class, decoded by the head's own coder and not clipped."""
    deltas = deltas.float()
    if not head.reg_class_agnostic:
        deltas = deltas.reshape(len(deltas), head.num_classes, 4)[torch.arange(len(deltas), device=deltas.device), labels]
    return head.bbox_coder.decode(rois[:, 1:].float(), deltas)  # type: ignore[no-any-return]


def _inside(boxes: Tensor, level: Tensor, stride: int) -> Tensor:
    """Boxes clipped to the padded batch, whose size is the level's times its stride, with corners in order: pooling takes no others."""
    height, width = (size * stride for size in level.shape[-2:])
    left, top, right, bottom = (side.clamp(0, limit) for side, limit in zip(boxes.unbind(1), (width, height, width, height), strict=True))
    return torch.stack([left, top, torch.maximum(left, right), torch.maximum(top, bottom)], 1)


def _reads_head(head: Any) -> bool:
    return type(head).__name__ in BOX_HEADS and head.with_cls and head.with_reg and not head.custom_cls_channels


def _stages(roi_head: Any) -> list[Any]:
    return list(roi_head.bbox_head) if isinstance(roi_head.bbox_head, nn.ModuleList) else [roi_head.bbox_head]


def _extractor(roi_head: Any, stage: int) -> Any:
    extractors = roi_head.bbox_roi_extractor
    return extractors[stage] if isinstance(extractors, nn.ModuleList) else extractors
