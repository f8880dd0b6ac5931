"""The loss of a genome or recipe on your own tensors: features and boxes, or head responses, without a detector."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor

from detkds.errors import ConfigError
from detkds.genome import Genome, Knowledge, Recipe
from detkds.losses.distill import RecipeLoss
from detkds.losses.views import Response, Views

Levels = Tensor | Sequence[Tensor]


def loss(
    losses: str | Genome | Recipe,
    student: Levels = (),
    teacher: Levels = (),
    *,
    boxes: Sequence[Tensor] | None = None,
    image_size: tuple[int, int] | None = None,
    strides: Sequence[int] | None = None,
    student_response: Response | None = None,
    teacher_response: Response | None = None,
    semantics: str = "paper",
    step: int = 0,
) -> Tensor:
    """The distillation loss (Eq. 1 without the detection loss), ready for `backward`.

    Args:
        losses: a genome as text or object, such as "global: catt > none > norm_N | l2 x 5"; text with several lines, or a Recipe.
        student: one feature map (N, C, H, W), or several, fine to coarse; any floating dtype.
        teacher: the same shapes; no gradient flows to them.
        boxes: objects of each image, N tensors (n_i, 4) of x1, y1, x2, y2 in pixels of the batch. The knowledges fgbg and instance
            need them.
        image_size: height and width of the batch in pixels; with boxes, give it or `strides`.
        strides: pixels per cell, one for each level; left out, they follow from `image_size`.
        student_response: what the student's head predicts, for the knowledges logits and localization.
        teacher_response: the same of the teacher.
        semantics: paper or released; a Recipe has its own.
        step: 0 or more; seeds the random masks of genomes that draw some.

    Returns:
        A scalar float32 tensor: the weighted sum of all losses. It is computed in float32, outside any autocast.

    Raises:
        GenomeError: the text is not a genome.
        ConfigError: the tensors do not fit together, or lack what a genome compares.

    >>> student = torch.zeros(2, 8, 4, 4, requires_grad=True)
    >>> value = loss("global: none > none > none | l2 x 5", student, torch.ones(2, 8, 4, 4))
    >>> value.backward()
    >>> value.item(), tuple(student.grad.shape)
    (5.0, (2, 8, 4, 4))
    """
    recipe = _recipe(losses, semantics)
    levels = [_levels(name, side) for name, side in (("student", student), ("teacher", teacher))]
    _require_boxes(recipe, boxes)
    shape, cells = _geometry(levels[0], boxes, image_size, strides)
    objects = _boxes(boxes, levels[0], student_response)
    found = RecipeLoss(recipe)(Views(levels[0], levels[1], cells, objects, shape, student_response, teacher_response), step)
    if not found:
        raise ConfigError("a recipe without an active loss has no value; give a genome with a weight above 0.")
    return torch.stack(list(found.values())).sum()


def _recipe(losses: str | Genome | Recipe, semantics: str) -> Recipe:
    if isinstance(losses, Recipe):
        return losses
    if isinstance(losses, str):
        return Recipe.parse(losses, semantics)
    if isinstance(losses, Genome):
        return Recipe((losses,), semantics)
    raise ConfigError(f"give a genome's text, a Genome or a Recipe as the first argument, got {type(losses).__name__}.")


def _levels(name: str, side: Levels) -> tuple[Tensor, ...]:
    levels = (side,) if isinstance(side, Tensor) else tuple(side)
    for level in levels:
        if not isinstance(level, Tensor) or level.ndim != 4 or not level.is_floating_point():
            shape = f"{tuple(level.shape)}, {level.dtype}" if isinstance(level, Tensor) else type(level).__name__
            raise ConfigError(f"{name} levels must be floating tensors (N, C, H, W), got {shape}.")
    return levels


def _require_boxes(recipe: Recipe, boxes: Sequence[Tensor] | None) -> None:
    """Without boxes these losses would be 0 and teach nothing, which no caller means."""
    for genome in recipe.active:
        if boxes is None and genome.knowledge in (Knowledge.FGBG, Knowledge.INSTANCE):
            raise ConfigError(f"{genome.knowledge} compares what lies in boxes; give boxes, one tensor (n, 4) for each image.")


def _geometry(
    levels: Sequence[Tensor], boxes: Sequence[Tensor] | None, image_size: tuple[int, int] | None, strides: Sequence[int] | None
) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Height and width of the batch in pixels, and the stride of each level."""
    if boxes is not None and levels and image_size is None and strides is None:
        raise ConfigError("boxes are in pixels; give image_size=(height, width) or strides, so that they can be found on the levels.")
    if strides is None:
        strides = [ceil(image_size[0] / level.shape[2]) for level in levels] if image_size else [1] * len(levels)
    if image_size is None:
        image_size = (levels[0].shape[2] * strides[0], levels[0].shape[3] * strides[0]) if levels and strides else (1, 1)
    return (int(image_size[0]), int(image_size[1])), tuple(map(int, strides))


def _boxes(boxes: Sequence[Tensor] | None, levels: Sequence[Tensor], response: Response | None) -> tuple[Tensor, ...]:
    first = levels[0] if levels else response.scores[0] if response and response.scores else None
    images = 0 if first is None else len(first)
    if boxes is None:
        return tuple(torch.zeros(0, 4, device=first.device) for _ in range(images)) if first is not None else ()
    for one in boxes:
        if not isinstance(one, Tensor) or one.ndim != 2 or one.shape[1] != 4:
            shape = tuple(one.shape) if isinstance(one, Tensor) else type(one).__name__
            raise ConfigError(f"boxes must be tensors (n, 4) of x1, y1, x2, y2, one for each image, got {shape}.")
    if levels and len(boxes) != images:
        raise ConfigError(f"boxes must be one tensor for each image, got {len(boxes)} for {images} images.")
    return tuple(boxes)
