"""`detkds.loss`: a genome's loss on tensors of one's own."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from detkds.errors import ConfigError, GenomeError
from detkds.genome import Genome, Recipe
from detkds.losses.distill import RecipeLoss
from detkds.losses.loss import loss
from detkds.losses.views import Response, Views

PLAIN = "global: none > none > none | l2 x 1"
REGIONS = "fgbg: none > none > none | l2 x 1"
ONES, ZEROS = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
BOX = [torch.tensor([[0.0, 0.0, 8.0, 8.0]])]


def test_the_loss_is_the_mean_square_times_the_weight_and_its_gradient_is_the_students() -> None:
    student, teacher = ZEROS.clone().requires_grad_(), ONES.clone().requires_grad_()
    value = loss("global: none > none > none | l2 x 3", student, teacher)  # 3 x mean((0 - 1)^2)
    value.backward()
    assert value.item() == 3
    assert student.grad is not None
    assert student.grad.flatten().tolist() == [3 * 2 * -1 / 4] * 4
    assert teacher.grad is None


@pytest.mark.parametrize("given", [PLAIN, Genome.parse(PLAIN), Recipe.parse(PLAIN)], ids=["text", "genome", "recipe"])
def test_text_genome_and_recipe_are_the_same_loss(given: Any) -> None:
    assert loss(given, [ZEROS, ZEROS], [ONES, 3 * ONES]).item() == (1 + 9) / 2  # the mean over levels


def test_the_losses_of_a_recipe_are_added() -> None:
    text = "global: none > none > none | l2 x 1\ninstance: none > none > none | l2 x 2"
    value = loss(text, ZEROS, ONES, boxes=BOX, image_size=(16, 16))
    assert value.item() == pytest.approx(1 + 2)


def test_strides_follow_from_the_size_of_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = ([torch.randn(2, 3, size, size, generator=generator) for size in (25, 13)] for _ in range(2))
    boxes = [torch.tensor([[10.0, 20.0, 60.0, 90.0]]), torch.tensor([[0.0, 0.0, 40.0, 30.0]])]
    views = Views(tuple(student), tuple(teacher), (8, 16), tuple(boxes), (200, 200))
    direct = sum(RecipeLoss(Recipe.parse(REGIONS))(views, 0).values())
    assert loss(REGIONS, student, teacher, boxes=boxes, image_size=(200, 200)).item() == float(direct)
    assert loss(REGIONS, student, teacher, boxes=boxes, strides=(8, 16)).item() == pytest.approx(float(direct), rel=0.05)


def test_responses_are_compared_as_the_heads_predict_them() -> None:
    def response(score: float) -> Response:
        cells = torch.full((1, 1, 2, 2), score)
        return Response((cells,), (torch.zeros(1, 4, 2, 2),), (torch.zeros(1, 2, 2, 2),), (torch.ones(1, 2, 1, 1),))

    value = loss("logits: none | l2 x 1", student_response=response(0.25), teacher_response=response(0.75))
    assert math.isfinite(value.item())
    assert value.item() > 0
    assert loss("logits: none | l2 x 1", student_response=response(0.5), teacher_response=response(0.5)).item() == 0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, ZEROS, ONES), {}, "give a genome's text, a Genome or a Recipe as the first argument, got int."),
        ((PLAIN, ZEROS[0], ONES[0]), {}, "student levels must be floating tensors (N, C, H, W), got (1, 2, 2), torch.float32."),
        ((PLAIN, ZEROS, ONES.int()), {}, "teacher levels must be floating tensors (N, C, H, W), got (1, 1, 2, 2), torch.int32."),
        ((PLAIN, ZEROS, [1.0]), {}, "teacher levels must be floating tensors (N, C, H, W), got float."),
        ((PLAIN, ZEROS, torch.ones(1, 2, 2, 2)), {}, "neck levels of student and teacher must have equal shapes"),
        ((PLAIN,), {}, "global knowledge compares neck levels, but the views have none"),
        (("logits: none | l2 x 1", ZEROS, ONES), {}, "logits knowledge compares head responses, but the views have none"),
        ((REGIONS, ZEROS, ONES), {}, "fgbg compares what lies in boxes; give boxes, one tensor (n, 4) for each image."),
        ((REGIONS, ZEROS, ONES), {"boxes": BOX}, "boxes are in pixels; give image_size=(height, width) or strides"),
        ((REGIONS, ZEROS, ONES), {"boxes": 2 * BOX, "strides": [8]}, "one tensor for each image, got 2 for 1 images."),
        ((REGIONS, ZEROS, ONES), {"boxes": [BOX[0][0]], "strides": [8]}, "boxes must be tensors (n, 4) of x1, y1, x2, y2"),
        ((REGIONS, ZEROS, ONES), {"boxes": BOX, "strides": [8, 16]}, "one stride a level, got 2 strides for 1 levels"),
        (("no distillation", ZEROS, ONES), {}, "a recipe without an active loss has no value; give a genome with a weight above 0."),
    ],
)
def test_wrong_input_is_one_clear_error(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        loss(*arguments, **options)


def test_a_word_that_does_not_exist_is_named() -> None:
    with pytest.raises(GenomeError, match="huber"):
        loss("global: none > none > none | huber x 1", ZEROS, ONES)


def test_the_loss_is_float32_also_under_autocast_and_for_half_precision() -> None:
    student = ZEROS.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        value: Tensor = loss(PLAIN, student, ONES.to(torch.bfloat16))
    assert value.dtype is torch.float32
