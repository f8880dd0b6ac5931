"""Views of small random batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from detkds.genome import Genome
from detkds.losses import Response, Views

STRIDES = (8, 16)
BINS = 5
SIZES = ((13, 10), (7, 5))
"""Odd heights and widths, so that every scale has a rest."""
BOXES = (
    torch.tensor([[4.0, 6.0, 30.0, 40.0], [20.0, 20.0, 75.0, 95.0]]),
    torch.tensor([[50.0, 3.0, 61.0, 17.0]]),
)


@pytest.fixture(scope="session")
def make_views() -> Callable[..., Views]:
    """A factory of views: two images with three boxes on two levels unless told otherwise."""
    return random_views


@pytest.fixture(scope="session")
def gradients() -> Callable[[Tensor, Views], list[Tensor]]:
    """The gradient of a loss to each of the student's tensors; zeros where it does not reach."""

    def compute(loss: Tensor, views: Views) -> list[Tensor]:
        leaves = student_tensors(views)
        found = torch.autograd.grad(loss, leaves, allow_unused=True)
        return [torch.zeros_like(leaf) if one is None else one for leaf, one in zip(leaves, found, strict=True)]

    return compute


@pytest.fixture(scope="session")
def leaves_of() -> Callable[[Views], list[Tensor]]:
    """What of the views takes a gradient."""
    return student_tensors


@pytest.fixture(scope="session")
def says_nothing() -> Callable[[Genome, str], bool]:
    """Whether a genome leaves nothing to compare, under a semantics."""
    return empty_handed


@pytest.fixture(scope="session")
def imitate() -> Callable[[Views], Views]:
    """Turns views into those of a student that has the teacher's values."""

    def copy(views: Views) -> Views:
        levels = views.teacher_levels
        return replace(views, student_levels=levels, generated=levels, student_response=views.teacher_response)

    return copy


def empty_handed(genome: Genome, semantics: str) -> bool:
    """Words that leave nothing to compare: a map of one channel has no direction over channels, one value a channel no shape over
    positions."""
    slots = genome.slots
    attention, norm, distance = (slots.get(slot) for slot in ("attention", "norm", "distance"))
    over_channels = norm == "norm_C" or distance == "cosine" or (semantics == "released" and distance == "pearson")
    over_positions = semantics == "paper" and (norm in ("norm_HW", "norm_minmax") or distance in ("kl", "pearson"))
    return (attention == "smap" and over_channels) or (attention == "cmap" and over_positions)


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
    generated = tuple(torch.randn(level.shape, generator=generator).to(dtype) for level in levels[0])
    heads = [replace(response, bins=of_side) for response, of_side in zip(responses, bins, strict=True)]
    views = Views(*levels, tuple(strides), tuple(boxes), (height, width), *heads, generated=generated)
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
    """What takes a gradient: neck levels, scores, boxes, bins, generated levels."""
    response = views.student_response
    assert response is not None
    assert response.bins is not None
    return [*views.student_levels, *response.scores, *response.boxes, *response.bins, *views.generated]
