"""Response knowledge (Eq. 3): class scores and boxes of the heads, in the common view."""

from __future__ import annotations

import torch
from torch import Tensor

from detkds.genome import Genome, Knowledge
from detkds.genome.words import Role
from detkds.losses.boxes import sides_from
from detkds.losses.distances import weighted_mean
from detkds.losses.features import nothing
from detkds.losses.views import Response

CONFIDENT = 0.05
"""A cell's box counts where the teacher's best class score is above this, mmdet's own threshold for a detection."""


def response_levels(genome: Genome, semantics: str, student: Response, teacher: Response) -> Tensor:
    """Eq. 3 without its weight: the mean over levels, or their sum under `released`; 0 where a level has no cell (no proposal)."""
    losses = []
    for level, scores in enumerate(student.scores):
        if scores.numel() == 0:
            losses.append(nothing((scores, student.boxes[level])))
        elif genome.knowledge is Knowledge.LOGITS:
            losses.append(logits(genome, semantics, scores, teacher.scores[level]))
        else:
            losses.append(localization(genome, semantics, student, teacher, level))
    stacked = torch.stack(losses)
    return stacked.sum() if semantics == "released" else stacked.mean()


def logits(genome: Genome, semantics: str, student: Tensor, teacher: Tensor) -> Tensor:
    """D(T<p_S, p_T>) over all cells of one level of scores (N, K, H, W); under `score` a cell counts by the teacher's best score."""
    transform, distance = genome.word("transform"), genome.word("distance").function(semantics)
    weight, change = None, transform.function(semantics)
    if transform.role is Role.SCORES:
        weight = teacher.amax(1, keepdim=True)
    loss: Tensor = distance(change(student), change(teacher), weight)
    return loss


def localization(genome: Genome, semantics: str, student: Response, teacher: Response, level: int) -> Tensor:
    """1 - IoU, or one of its family, of the two boxes of each confident cell, weighted by the teacher's score; 0 without such a cell.

    Both boxes are measured from the student's cell centre in the student's units, so that equal boxes are equal. Under `kl` the bins of
    the sides are compared instead (LD).
    """
    score = teacher.scores[level].amax(1)
    weight = score * (score > CONFIDENT)
    transform, distance = (genome.word(slot).function(semantics) for slot in genome.slots)
    if genome.distance == "kl":
        assert student.bins is not None
        assert teacher.bins is not None
        return weighted_mean(distance(student.bins[level], teacher.bins[level]), weight)
    centres, units = student.centres[level], student.units[level]
    sides = (transform(sides_from(side.boxes[level], centres, units)) for side in (student, teacher))
    return weighted_mean(distance(*sides), weight)
