"""RecipeLoss: what goes in and out, precision, seeds and refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from detkds.errors import ConfigError
from detkds.genome import Genome, Knowledge, Recipe
from detkds.losses import DistillLoss, RecipeLoss, Response, Views

MakeViews = Callable[..., Views]
Gradients = Callable[[Tensor, Views], list[Tensor]]

FIVE = Recipe.parse(
    """
    global: mask > scale_2 > norm_N | l1 x 6
    fgbg: none > local_4 > norm_HW | l1 x 2
    instance: catt > none > norm_C | smooth_l1
    logits: norm_batch | pearson x 0.5
    localization: sigmoid | ciou
    """
)


def test_returns_one_weighted_scalar_a_knowledge_in_order(make_views: MakeViews):
    views = make_views()
    losses = RecipeLoss(FIVE)(views, 3)
    assert list(losses) == list(Knowledge)
    for genome in FIVE.genomes:
        alone = DistillLoss(genome.with_weight(1))(views, 3)
        assert losses[genome.knowledge].shape == ()
        assert_close(losses[genome.knowledge], genome.weight * alone)


def test_genomes_of_weight_zero_are_left_out(make_views: MakeViews):
    recipe = FIVE.with_weights((1, 0, 0, 0, 2))
    assert list(RecipeLoss(recipe)(make_views(), 0)) == [Knowledge.GLOBAL, Knowledge.LOCALIZATION]
    assert RecipeLoss(Recipe())(make_views(), 0) == {}


def test_masks_follow_the_step_and_the_knowledge_alone(make_views: MakeViews):
    views = make_views()
    masked = RecipeLoss(FIVE)
    assert_close(masked(views, 5), masked(views, 5), rtol=0, atol=0)
    assert float(masked(views, 5)[Knowledge.GLOBAL]) != float(masked(views, 6)[Knowledge.GLOBAL])
    alone = RecipeLoss(Recipe((FIVE.genomes[0],)))(views, 5)
    assert_close(alone[Knowledge.GLOBAL], masked(views, 5)[Knowledge.GLOBAL], rtol=0, atol=0)


def test_the_global_random_stream_is_left_alone(make_views: MakeViews):
    before = torch.get_rng_state()
    RecipeLoss(FIVE)(make_views(), 0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32_whatever_autocast_says(make_views: MakeViews, dtype: torch.dtype):
    half = make_views(dtype=dtype)
    expected = RecipeLoss(FIVE)(half.in_float32(), 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = RecipeLoss(FIVE)(half, 1)
    for knowledge, loss in losses.items():
        assert loss.dtype == torch.float32
        assert_close(loss, expected[knowledge], rtol=0, atol=0)


def test_no_gradient_reaches_the_teacher(make_views: MakeViews):
    views = make_views(requires_grad=True)
    teacher = views.teacher_response
    assert teacher is not None
    of_teacher = [*views.teacher_levels, *teacher.scores, *teacher.boxes]
    for tensor in of_teacher:
        tensor.requires_grad_()
    torch.stack(list(RecipeLoss(FIVE)(views, 0).values())).sum().backward()
    assert all(tensor.grad is None for tensor in of_teacher)


def test_every_knowledge_moves_its_own_part_of_the_student(make_views: MakeViews, gradients: Gradients):
    views = make_views(requires_grad=True)
    reached = {}
    for knowledge, loss in RecipeLoss(FIVE)(views, 0).items():
        sizes = [float(gradient.abs().sum()) for gradient in gradients(loss, views)]
        reached[knowledge] = tuple(sum(sizes[part]) > 0 for part in (slice(0, 2), slice(2, 4), slice(4, 6)))
    features, scores, boxes = (True, False, False), (False, True, False), (False, False, True)
    assert list(reached.values()) == [features, features, features, scores, boxes]


def test_views_without_what_a_genome_compares_are_refused(make_views: MakeViews):
    views = make_views()
    without_levels = Views((), (), (), views.boxes, views.batch_shape, views.student_response, views.teacher_response)
    with pytest.raises(ConfigError, match="global knowledge compares neck levels"):
        RecipeLoss(Recipe((Genome.parse("global: none > none > none | l1"),)))(without_levels, 0)
    without_heads = replace(views, student_response=None)
    with pytest.raises(ConfigError, match="logits knowledge compares head responses"):
        RecipeLoss(Recipe((Genome.parse("logits: none | l1"),)))(without_heads, 0)


def test_words_that_the_pair_does_not_serve_are_refused(make_views: MakeViews):
    views = make_views()
    student = views.student_response
    assert student is not None
    headless = replace(views, student_response=None, generated={})
    for text, message in {
        "global: score > none > none | l2": "score reads scores at each cell of the neck's levels",
        "instance: general > none > none | l2": "general reads scores at each cell",
        "fgbg: generate > none > none | l2": "generate compares levels made by trained modules",
    }.items():
        with pytest.raises(ConfigError, match=message):
            RecipeLoss(Recipe.parse(text))(headless, 0)
    without_bins = replace(views, student_response=replace(student, bins=None))
    with pytest.raises(ConfigError, match="localization kl compares bins of distances"):
        RecipeLoss(Recipe.parse("localization: none | kl"))(without_bins, 0)


def test_misaligned_views_are_refused():
    a, b = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 5)
    with pytest.raises(ConfigError, match=r"neck levels .* equal shapes, got \[\(1, 2, 4, 4\)\] and \[\(1, 2, 4, 5\)\]"):
        Views((a,), (b,), (8,), (), (32, 32))
    with pytest.raises(ConfigError, match="one stride a level, got 2 strides for 1 levels"):
        Views((a,), (a,), (8, 16), (), (32, 32))
    heads = [Response((scores,), (torch.zeros(1, 4, 4, 4),), (), ()) for scores in (a, torch.zeros(1, 3, 4, 4))]
    with pytest.raises(ConfigError, match="score levels"):
        Views((), (), (), (), (32, 32), *heads)
