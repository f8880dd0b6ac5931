"""Views of small random batches, on which contracts try losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from detkds.losses import Response, Views
from detkds.losses.trained import MODULES
from detkds.losses.views import Generated

STRIDES = (8, 16)
BINS = 5
SIZES = ((13, 10), (7, 5))
"""Odd heights and widths, so that every scale has a rest."""
BOXES = (
    torch.tensor([[4.0, 6.0, 30.0, 40.0], [20.0, 20.0, 75.0, 95.0]]),
    torch.tensor([[50.0, 3.0, 61.0, 17.0]]),
)


def random_views(
    *,
    samples: int = 2,
    channels: int = 4,
    classes: int = 3,
    sizes: Sequence[tuple[int, int]] = SIZES,
    strides: Sequence[int] = STRIDES,
    boxes: Sequence[Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
    requires_grad: bool = False,
    seed: int = 0,
) -> Views:
    """Student and teacher drawn from normal distributions; the student's side takes gradients on request. Five bins a side."""
    generator = torch.Generator().manual_seed(seed)
    height, width = (sizes[0][0] * strides[0], sizes[0][1] * strides[0])
    if boxes is None:
        boxes = [BOXES[index % 2] for index in range(samples)]
    levels = [
        tuple((torch.randn(samples, channels, h, w, generator=generator) * spread).to(dtype) for h, w in sizes) for spread in (0.8, 1.0)
    ]
    responses = [_response(samples, classes, sizes, strides, dtype, generator) for _ in range(2)]
    bins = [tuple(torch.randn(samples, 4 * BINS, h, w, generator=generator).to(dtype) for h, w in sizes) for _ in range(2)]
    made = tuple(torch.randn(level.shape, generator=generator).to(dtype) for level in levels[0])
    heads = [replace(response, bins=of_side) for response, of_side in zip(responses, bins, strict=True)]
    generated = {word: Generated(tuple(level.clone() for level in made), levels[1]) for word in MODULES}
    views = Views(levels[0], levels[1], tuple(strides), tuple(boxes), (height, width), heads[0], heads[1], generated=generated)
    crossed = _response(samples, classes, sizes, strides, dtype, generator)
    its_bins = tuple(torch.randn(samples, 4 * BINS, h, w, generator=generator).to(dtype) for h, w in sizes)
    views = replace(views, crossed_response=replace(crossed, bins=its_bins))
    if requires_grad:
        for tensor in student_tensors(views):
            tensor.requires_grad_()
    return views


def _response(
    samples: int, classes: int, sizes: Sequence[tuple[int, int]], strides: Sequence[int], dtype: torch.dtype, generator: torch.Generator
) -> Response:
    scores, boxes, centres, units = [], [], [], []
    for (h, w), stride in zip(sizes, strides, strict=True):
        scores.append(torch.rand(samples, classes, h, w, generator=generator).to(dtype))
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        centre = ((torch.stack([x, y]) + 0.5) * stride)[None].float()
        sides = torch.rand(samples, 4, h, w, generator=generator) * 3 * stride
        boxes.append(torch.cat([centre - sides[:, :2], centre + sides[:, 2:]], 1).to(dtype))
        centres.append(centre)
        units.append(torch.full((1, 2, 1, 1), float(stride)))
    return Response(tuple(scores), tuple(boxes), tuple(centres), tuple(units))


def student_tensors(views: Views) -> list[Tensor]:
    """What takes a gradient: neck levels; scores, boxes and bins, those of the teacher's head among them; generated levels."""
    answers: list[Tensor] = []
    for response in (views.student_response, views.crossed_response):
        assert response is not None
        assert response.bins is not None
        answers += [*response.scores, *response.boxes, *response.bins]
    return [*views.student_levels, *answers, *generated_levels(views)]


def generated_levels(views: Views) -> list[Tensor]:
    """The student's side of every word with modules."""
    return [level for made in views.generated.values() for level in made.student]


def imitated(views: Views) -> Views:
    """Views of a student that has the teacher's values."""
    generated = {word: Generated(made.teacher, made.teacher) for word, made in views.generated.items()}
    said = views.teacher_response
    return replace(views, student_levels=views.teacher_levels, generated=generated, student_response=said, crossed_response=said)


def gradients_of(loss: Tensor, views: Views) -> list[Tensor]:
    """The gradient of a loss to each of the student's tensors; zeros where it does not reach."""
    leaves = student_tensors(views)
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [torch.zeros_like(leaf) if one is None else one for leaf, one in zip(leaves, found, strict=True)]
