"""What a recipe's losses do to a student: their value, their gradient beside the detection loss's, and where on the levels it falls."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from detkds.detectors.distiller import DistilledDetector
from detkds.losses.distill import RecipeLoss
from detkds.losses.padding import stride_of
from detkds.losses.views import Views

PROPOSALS = 0
"""Stands for the stride of a head that answers for proposals or queries, which lie on no grid."""


@dataclass(frozen=True)
class Diagnosis:
    """Means over some batches.

    Args:
        value: of the weighted losses together.
        ratio: length of their gradient to the student's weights over that of the detection loss's.
        levels: share of the gradient's energy (its square) on what the student offers, by stride in pixels; PROPOSALS without a grid.
        padding: share of that energy on cells that lie wholly outside their image.
    """

    value: float
    ratio: float
    levels: Mapping[int, float] = field(default_factory=dict)
    padding: float = 0.0

    @classmethod
    def mean(cls, found: Sequence[Diagnosis]) -> Diagnosis:
        """Of one or more batches."""
        strides = sorted({stride for one in found for stride in one.levels})
        levels = {stride: fmean(one.levels.get(stride, 0.0) for one in found) for stride in strides}
        return cls(fmean(one.value for one in found), fmean(one.ratio for one in found), levels, fmean(one.padding for one in found))


def diagnose(distiller: DistilledDetector, batch: Mapping[str, Any]) -> Diagnosis:
    """What the recipe of a distiller does on one batch; nothing of its student changes.

    Args:
        distiller: with an active recipe, on the device, in training mode.
        batch: as its data preprocessor gives it, with a box or more.
    """
    weights = [parameter for parameter in distiller.student.parameters() if parameter.requires_grad]
    own_losses, views = distiller.trial_step(**batch)
    loss = torch.stack(list(RecipeLoss(distiller.recipe)(views, distiller.step).values())).sum()
    offered = list(_offered(views))
    gradients = torch.autograd.grad(loss, [*weights, *(tensor for _, tensor in offered)], allow_unused=True, retain_graph=True)
    detection: Tensor = distiller.parse_losses(own_losses)[0]
    own = _length(torch.autograd.grad(detection, weights, allow_unused=True))
    ours = _length(gradients[: len(weights)])
    energy: dict[int, float] = {}
    outside = 0.0
    for (stride, _), gradient in zip(offered, gradients[len(weights) :], strict=True):
        if gradient is None:
            continue
        squares = gradient.double().square().sum(1)
        energy[stride] = energy.get(stride, 0.0) + float(squares.sum())
        if stride != PROPOSALS:
            outside += float((squares * _padding(squares, stride, batch["data_samples"])).sum())
    total = sum(energy.values()) or 1.0
    shares = {stride: value / total for stride, value in energy.items()}
    return Diagnosis(float(loss.detach()), ours / own if own else math.inf, shares, outside / total)


def _offered(views: Views) -> Iterator[tuple[int, Tensor]]:
    """What a loss moves, with its stride: neck levels (N, C, H, W), class scores and boxes."""
    yield from zip(views.strides, views.student_levels, strict=True) if views.student_levels else ()
    response = views.student_response
    for scores, boxes, bins in zip(response.scores, response.boxes, response.bins or response.boxes, strict=True) if response else ():
        stride = stride_of(scores, views)
        yield from ((stride, tensor) for tensor in (scores, boxes, *([bins] if bins is not boxes else [])))


def _padding(squares_NHW: Tensor, stride: int, samples: Sequence[Any]) -> Tensor:
    """(N, H, W): 1 for the cells that lie wholly outside their image, else 0."""
    outside = torch.ones_like(squares_NHW)
    for cells, sample in zip(outside, samples, strict=True):
        height, width = sample.img_shape[:2]
        cells[: math.ceil(height / stride), : math.ceil(width / stride)] = 0
    return outside


def _length(gradients: Sequence[Tensor | None]) -> float:
    return math.sqrt(sum(float(gradient.double().square().sum()) for gradient in gradients if gradient is not None))
