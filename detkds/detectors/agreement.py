"""How well a teacher's detections agree with labels, or with the other teachers' detections where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor
from torch import Tensor, nn

from detkds.detectors.normalization import TeacherView, enlarged
from detkds.detectors.taps import tap
from detkds.detectors.teacher_pass import TeacherLevels


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


def agreeing(levels: Sequence[TeacherLevels]) -> Tensor:
    """Of the images of a batch, the share (K,) on which each of K teachers agrees best with the labels; of equal ones the first."""
    every = torch.stack([one.agreement for one in levels if one.agreement is not None])
    chosen: Tensor = nn.functional.one_hot(every.argmax(0), len(levels)).to(every).mean(0)
    return chosen


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
