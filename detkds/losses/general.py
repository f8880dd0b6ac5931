"""General instances (GID; Dai et al., 2021): the places where student and teacher disagree most, without overlap."""

from __future__ import annotations

import torch
from torch import Tensor

from detkds.genome import Knowledge
from detkds.genome.words import operation
from detkds.losses.needs import head_levels
from detkds.losses.regions import BatchBoxes, gather
from detkds.losses.views import Views

COUNT = 10
"""Instances an image."""

OVERLAP = 0.3
"""A box with this IoU or more with a chosen one is not chosen."""

EPS = 1e-7
"""Keeps 0/0 away from boxes without extent, of which equal ones have IoU 1."""


@operation("general", "attention", (Knowledge.INSTANCE,))
def general_instances(views: Views) -> tuple[BatchBoxes, Tensor]:
    """Cells ranked by max over classes of |score of the teacher - score of the student|, each with the box of the surer side.

    Greedy non-maximum suppression takes 10 boxes per image, by as many rounds over all cells at once, so that no value is asked of the
    device; where fewer are left, the rest does not count.

    Returns:
        10 boxes per image, and 1 for those that count, else 0 (10 N,). Without gradient.
    """
    gap, boxes = _candidates(views)
    chosen, values = [], []
    for _ in range(COUNT):
        value, best = gap.max(1)
        box = boxes.gather(1, best[:, None, None].expand(-1, 1, 4))
        gap = torch.where(_iou(box, boxes) >= OVERLAP, -1, gap)
        chosen.append(box)
        values.append(value)
    return gather(tuple(torch.cat(chosen, 1)), views.batch_shape), (torch.stack(values, 1).flatten() > 0).float()


def _candidates(views: Views) -> tuple[Tensor, Tensor]:
    """Disagreement (N, M) and boxes (N, M, 4) of all cells on the neck's grids."""
    student, teacher, levels = views.student_response, views.teacher_response, head_levels(views)
    assert student is not None
    assert teacher is not None
    assert levels is not None
    gaps, boxes = [], []
    for index in levels:
        ours, theirs = student.scores[index].detach(), teacher.scores[index]
        surer = theirs.amax(1, keepdim=True) >= ours.amax(1, keepdim=True)
        gaps.append((theirs - ours).abs().amax(1).flatten(1))
        boxes.append(torch.where(surer, teacher.boxes[index], student.boxes[index].detach()).flatten(2))
    height, width = views.batch_shape
    corners = torch.cat(boxes, 2).mT.nan_to_num(0.0)  # a student gone wild is the loss's to report
    limits = [side.clamp(0, limit) for side, limit in zip(corners.unbind(2), (width, height) * 2, strict=True)]
    return torch.cat(gaps, 1), torch.stack(limits, 2)


def _iou(box_N14: Tensor, boxes_NM4: Tensor) -> Tensor:
    """(N, M)."""
    low, high = torch.maximum(box_N14[..., :2], boxes_NM4[..., :2]), torch.minimum(box_N14[..., 2:], boxes_NM4[..., 2:])
    shared = (high - low).clamp(min=0).prod(2)
    areas = [(boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(2) for boxes in (box_N14, boxes_NM4)]
    return (shared + EPS) / (areas[0] + areas[1] - shared + EPS)
