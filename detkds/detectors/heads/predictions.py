"""The one view of any head: what it says about an image, and how the predictions of two heads of different kinds are paired."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmdet.structures.bbox import bbox_overlaps
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from detkds.detectors.taps import Tapped
from detkds.losses.views import Response

MOST = 100
"""Predictions per image that are compared between heads of different kinds: as many detections as COCO counts."""


class Predictions(NamedTuple):
    """What a head says about one image.

    Args:
        scores: (Q, K) of each class in [0, 1], by which the head ranks its detections.
        boxes: (Q, 4) x1, y1, x2, y2 in pixels of the padded batch, not clipped.
    """

    scores: Tensor
    boxes: Tensor


class Family(ABC):
    """Heads of one kind, read as predictions. A new family is one such class under `@detkds.head`.

    Args:
        detector: one that `reads` accepts.
    """

    def __init__(self, detector: Any) -> None:
        self.detector = detector

    @staticmethod
    @abstractmethod
    def reads(detector: nn.Module) -> bool:
        """Whether this family understands the detector's head."""

    @abstractmethod
    def predictions(self, tapped: Tapped, samples: Any) -> list[Predictions]:
        """The student's side: what the head said in the training step that was tapped, one entry per image, with gradient."""

    @abstractmethod
    def asked(self, levels: Sequence[Tensor], samples: Any, about: Sequence[Predictions]) -> list[tuple[Tensor, Predictions]]:
        """The teacher's side: what the head says of the student's predictions, one entry per image.

        Args:
            levels: the teacher's neck levels.
            samples: mmdet's samples of the batch.
            about: the student's predictions, without gradient.

        Returns:
            One entry per image: the indices (M,) of the predictions that it has an opinion of, and its M predictions.
        """


class Matched:
    """Pairs the predictions of any two heads.

    The student's boxes play the part that proposals play between two-stage detectors: boxes are measured from their centres in units of
    their sizes, and a teacher that reads proposals reads them. Where the teacher has predictions of its own, they are assigned to the
    student's.

    Args:
        student: the family of the student, around it.
        teacher: the same of the teacher.
    """

    def __init__(self, student: Family, teacher: Family) -> None:
        self.student, self.teacher = student, teacher

    def __call__(self, tapped: Tapped, levels: Sequence[Tensor], samples: Any) -> tuple[Response, Response]:
        """The student's and the teacher's response, one level of shape (R, …, 1, 1) over the batch; the teacher's without gradient."""
        ours = self.student.predictions(tapped, samples)
        with torch.no_grad():
            theirs = self.teacher.asked(levels, samples, [Predictions(*(part.detach() for part in predictions)) for predictions in ours])
        chosen = [Predictions(*(part[index] for part in predictions)) for predictions, (index, _) in zip(ours, theirs, strict=True)]
        student, teacher = joined(chosen), joined([predictions for _, predictions in theirs])
        places = student.boxes.detach()
        return response(student, places), response(teacher, places)


def joined(images: Sequence[Predictions]) -> Predictions:
    """The predictions of several images as one."""
    return Predictions(torch.cat([predictions.scores for predictions in images]), torch.cat([predictions.boxes for predictions in images]))


def response(predictions: Predictions, places: Tensor) -> Response:
    """One level of (R, …, 1, 1): boxes are measured from the centres of `places` (R, 4) in units of their sizes, at least a pixel."""
    corners = places.float()
    centres, sizes = (corners[:, :2] + corners[:, 2:]) / 2, (corners[:, 2:] - corners[:, :2]).clamp(min=1)
    return Response(*((value[:, :, None, None],) for value in (predictions.scores, predictions.boxes, centres, sizes)))


def best(predictions: Predictions, count: int = MOST) -> Predictions:
    """The `count` predictions with the highest score of any class, the most confident first."""
    order = predictions.scores.detach().amax(1).argsort(descending=True, stable=True)[:count]
    return Predictions(predictions.scores[order], predictions.boxes[order])


def match(teacher: Predictions, student: Predictions, shape: Sequence[int]) -> tuple[Tensor, Predictions]:
    """Hungarian assignment of one image's predictions, one to one: as many pairs as the smaller side has.

    The costs are Deformable DETR's, between two predictions instead of a prediction and a truth: 2 x distance of the scores (L1 over
    classes) + 5 x L1 of the boxes' sides in units of the image + 2 x (1 - GIoU).

    Args:
        teacher: its predictions.
        student: its predictions.
        shape: height and width of the image in pixels.

    Returns:
        Indices (M,) of the student's predictions, and the M predictions of the teacher assigned to them.
    """
    height, width = shape[:2]
    size = student.boxes.new_tensor([width, height, width, height])
    classes = torch.cdist(student.scores, teacher.scores, p=1)
    sides = torch.cdist(_centred(student.boxes / size), _centred(teacher.boxes / size), p=1)
    overlap = bbox_overlaps(student.boxes, teacher.boxes, mode="giou")
    cost = (2 * classes + 5 * sides + 2 * (1 - overlap)).nan_to_num(1e6, 1e6, -1e6)  # a student gone wild is the loss's to report
    rows, columns = (torch.from_numpy(part).to(cost.device) for part in linear_sum_assignment(cost.cpu().numpy()))
    return rows, Predictions(teacher.scores[columns], teacher.boxes[columns])


def _centred(boxes: Tensor) -> Tensor:
    """cx, cy, w, h."""
    return torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
