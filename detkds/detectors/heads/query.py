"""Responses of DETR-like heads: a set of queries, in no order that two detectors share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from torch import Tensor, nn

from detkds.detectors.heads.predictions import Family, Predictions, match
from detkds.detectors.taps import Tapped
from detkds.detectors.teacher_pass import answered

QUERY_HEADS = frozenset({"DeformableDETRHead", "DINOHead"})
"""By exact name, as for dense heads."""


class Query(Family):
    """Detectors whose decoder predicts with a set of queries.

    The predictions of the last decoder layer are read; queries that exist only in training, to be denoised (DINO), are left out.
    """

    @staticmethod
    def reads(detector: nn.Module) -> bool:
        """Whether this family understands the detector's head."""
        return type(getattr(detector, "bbox_head", None)).__name__ in QUERY_HEADS

    def predictions(self, tapped: Tapped, samples: Any) -> list[Predictions]:
        """Every query of each image."""
        assert tapped.outputs is not None
        scores_NQK, boxes_NQ4 = (layers[-1].float()[:, -self.detector.num_queries :] for layers in tapped.outputs)
        scores_NQK = scores_NQK.sigmoid() if self.detector.bbox_head.loss_cls.use_sigmoid else scores_NQK.softmax(2)[..., :-1]
        return [
            Predictions(scores, bbox_cxcywh_to_xyxy(boxes) * boxes.new_tensor(_corners(sample)))
            for scores, boxes, sample in zip(scores_NQK, boxes_NQ4, samples, strict=True)
        ]

    def asked(self, levels: Sequence[Tensor], samples: Any, about: Sequence[Predictions]) -> list[tuple[Tensor, Predictions]]:
        """Its queries, assigned to the student's predictions."""
        outputs = answered(levels, lambda: self.detector.bbox_head(**self.detector.forward_transformer(levels, samples)))
        own = self.predictions(Tapped(outputs=tuple(outputs)), samples)
        return [match(ours, theirs, sample.img_shape) for ours, theirs, sample in zip(own, about, samples, strict=True)]


def _corners(sample: Any) -> tuple[int, int, int, int]:
    """What the head's boxes are fractions of: the image, not the padded batch."""
    height, width = sample.img_shape[:2]
    return width, height, width, height
