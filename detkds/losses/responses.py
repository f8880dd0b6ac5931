"""Response knowledge (Eq. 3): class scores and boxes of the heads, in the common view."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from detkds.genome import Genome, Knowledge
from detkds.genome.words import Role
from detkds.losses.boxes import sides_from
from detkds.losses.distances import weighted_mean
from detkds.losses.features import nothing
from detkds.losses.transforms.sound import normalised
from detkds.losses.views import Response

CONFIDENT = 0.05
"""A cell's box counts where the teacher's best class score is above this, mmdet's own threshold for a detection."""


def response_levels(genome: Genome, semantics: str, student: Response, teacher: Response) -> Tensor:
    """Eq. 3 without its weight: the mean over levels, their sum under `released`, or of the cells of all levels together under `sound`; 0
    where a level has no cell (no proposal)."""
    if semantics == "sound":
        return _together(genome, student, teacher)
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


def _together(genome: Genome, student: Response, teacher: Response) -> Tensor:
    """The cells of all levels as one row, so that a coarse level with a handful of cells counts as a handful."""
    if all(scores.numel() == 0 for scores in student.scores):
        return nothing((*student.scores, *student.boxes))
    if genome.knowledge is Knowledge.LOGITS:
        return logits(genome, "sound", _row(student.scores), _row(teacher.scores))
    return localization(genome, "sound", _in_a_row(student), _in_a_row(teacher), 0)


def _in_a_row(response: Response) -> Response:
    """One level (N, …, 1, cells)."""
    like = response.scores
    centres, units = (
        [_spread(part, scores) for part, scores in zip(parts, like, strict=True)] for parts in (response.centres, response.units)
    )
    bins = None if response.bins is None else (_row(response.bins),)
    return Response((_row(like),), (_row(response.boxes),), (_row(centres),), (_row(units),), bins)


def _spread(part: Tensor, scores: Tensor) -> Tensor:
    """(N, 2, H, W) of what may be the same for all images or cells."""
    return part.expand(scores.shape[0], -1, *scores.shape[2:])


def _row(levels: Sequence[Tensor]) -> Tensor:
    return torch.cat([level.flatten(2) for level in levels], 2)[:, :, None]


def logits(genome: Genome, semantics: str, student: Tensor, teacher: Tensor) -> Tensor:
    """D(T<p_S, p_T>) over all cells of one level of scores (N, K, H, W); under `score` a cell counts by the teacher's best score."""
    transform, distance = genome.word("transform"), genome.word("distance").function(semantics)
    weight, change = None, transform.function(semantics)
    if transform.role is Role.SCORES:
        weight = teacher.amax(1, keepdim=True)
    loss: Tensor = distance(*normalised(change, student, teacher), weight)
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
