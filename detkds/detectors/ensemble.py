"""Several teachers of one student: each has a share of the distillation losses of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor
from torch import Tensor, nn

from detkds.detectors.backbone_teacher import detects
from detkds.detectors.normalization import TeacherView, enlarged
from detkds.detectors.taps import tap
from detkds.detectors.teacher_pass import TeacherLevels
from detkds.errors import ConfigError

MEAN, AGREEMENT = COMBINED = ("mean", "agreement")
"""How the losses of several teachers become one: by their weights, or by the images on which each agrees best with the labels, or where
there are none with the other teachers."""


class Ensemble(nn.Module):
    """Teachers that teach together. The first is the one that a student inherits from and that is evaluated.

    Args:
        teachers: two or more.
        weights: of each in the mean, above 0; they need not sum to 1. None: all alike.
        combine: `mean` or `agreement`.

    Raises:
        ConfigError: a value is out of range, or `agreement` is to be measured of a backbone, which detects nothing.
    """

    def __init__(self, teachers: Sequence[nn.Module], weights: Sequence[float] | None = None, combine: str = MEAN) -> None:
        super().__init__()
        given = tuple(weights or [1.0] * len(teachers))
        if len(teachers) < 2 or len(given) != len(teachers) or min(given) <= 0:
            raise ConfigError(f"several teachers need a weight above 0 each, got {len(teachers)} teachers and the weights {given}.")
        if combine not in COMBINED:
            raise ConfigError(f"teacher.combine must be one of {', '.join(COMBINED)}, got {combine!r}.")
        if combine == AGREEMENT and not all(map(detects, teachers)):
            raise ConfigError("teacher.combine: agreement compares detections with labels, and a backbone detects nothing; write mean.")
        self.teachers = nn.ModuleList(teachers)
        self.weights = tuple(weight / sum(given) for weight in given)
        self.combine = combine

    @property
    def data_preprocessor(self) -> Any:
        """Of the first."""
        return self.teachers[0].data_preprocessor


def members(teacher: nn.Module) -> tuple[nn.Module, ...]:
    """The teachers of an ensemble, or the one."""
    return tuple(teacher.teachers) if isinstance(teacher, Ensemble) else (teacher,)


def levels_and_agreement(teacher: Any, view: TeacherView, inputs: Tensor, samples: Sequence[Any]) -> TeacherLevels:
    """Run a teacher over a batch, once and without gradient.

    Args:
        teacher: in evaluation mode.
        view: what it is shown of the student's batch.
        inputs: (N, 3, H, W) as the student's preprocessor gives them.
        samples: mmdet's samples of the batch, with labels.

    Returns:
        Its neck levels, whose `agreement` has a number for each image, see `agreement`.
    """
    with torch.no_grad(), tap(teacher) as tapped:
        results = teacher.predict(view(inputs, samples), enlarged([sample.new() for sample in samples], view.scale), rescale=False)
        levels = TeacherLevels(tapped.levels)
        pairs = zip(samples, results, strict=True)
        levels.agreement = torch.stack([agreement(sample.gt_instances, result.pred_instances, view.scale) for sample, result in pairs])
    return levels


def agreement(labels: Any, found: Any, scale: float = 1.0) -> Tensor:
    """How well detections agree with the labels of an image: (1 + 2 Σ_labels max IoU × score) / (1 + labels + Σ_detections score).

    The maximum is over the detections of the label's class, so that the number is a soft F1: a missed object costs as much as a certain
    detection of nothing. At least 0; without labels and detections 1.

    Args:
        labels: mmdet's instances: boxes (n, 4) in pixels, classes (n,).
        found: detections with scores in [0, 1], in an image `scale` times as large.
    """
    boxes = get_box_tensor(labels.bboxes).float()
    scores = found.scores.float()
    total: Tensor = boxes.new_tensor(1.0) + len(boxes) + scores.sum()
    if not len(boxes) or not len(scores):
        return 1.0 / total
    overlap = bbox_overlaps(boxes, get_box_tensor(found.bboxes).float() / scale)
    same = labels.labels[:, None] == found.labels[None, :]
    agreed: Tensor = (1.0 + 2.0 * (overlap * scores * same).amax(1).sum()) / total
    return agreed


def needs_detections(teachers: int, combine: str) -> bool:
    """Whether on images without labels the shares of so many teachers go by their detections. Two confirm each other equally."""
    return combine == AGREEMENT and teachers > 2


def confirmed(found: Sequence[Sequence[Any]]) -> Tensor:
    """Of the images of a batch without labels, the share (K,) on which each of K teachers is confirmed best by the others.

    How two teachers confirm each other on an image is the mean of two agreements: of the detections of each with those of the other in the
    place of labels. A teacher's figure is the mean over the others. Teachers of equal figures have equal parts of the image, so that each
    of two has one half of every image.

    Args:
        found: of each teacher, of each image its detections with scores, in pixels of the student's batch.
    """
    images = zip(*found, strict=True)
    figures = torch.stack([torch.stack([_by_the_others(of_image, place) for place in range(len(found))]) for of_image in images])
    best = (figures == figures.amax(1, keepdim=True)).to(figures)
    return (best / best.sum(1, keepdim=True)).mean(0)


def _by_the_others(found: Sequence[Any], place: int) -> Tensor:
    """How the teacher at a place is confirmed on an image, a number."""
    others = [other for number, other in enumerate(found) if number != place]
    return torch.stack([(agreement(other, found[place]) + agreement(found[place], other)) / 2 for other in others]).mean()


def shares(levels: Sequence[TeacherLevels]) -> Tensor:
    """Of the images of a batch, the share (K,) on which each of K teachers agrees best with the labels; of equal ones the first."""
    every = torch.stack([one.agreement for one in levels if one.agreement is not None])
    chosen: Tensor = nn.functional.one_hot(every.argmax(0), len(levels)).to(every).mean(0)
    return chosen
