"""The probe: rejections with their reasons, and signatures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from detkds.errors import Rejected
from detkds.genome import Recipe
from detkds.losses import Views, reject_on_probe, signature

MakeViews = Callable[..., Views]


def reason(text: str, views: Views, semantics: str = "paper") -> str:
    with pytest.raises(Rejected) as caught:
        reject_on_probe(Recipe.parse(text, semantics), views)
    return caught.value.kind


def with_student_level(views: Views, value: float) -> Views:
    level = views.student_levels[0].clone()
    level[0, 0, 0, 0] = value
    return replace(views, student_levels=(level, *views.student_levels[1:]))


@pytest.mark.parametrize(
    "text",
    [
        "global: catt > scale_2 > norm_N | l1 x 6\nfgbg: none > local_4 > norm_HW | l1 x 2\nlocalization: sigmoid | ciou",
        "global: none > none > none | kl",
        "global: none > none > norm_minmax | ssim",
        "instance: mask > scale_4 > norm_C | pearson x 0.1",
        "logits: none | cor x 10",
        "logits: softmax_C | kl x 0.1",
        "localization: pow2 | iou",
        "global: tatt > none > none | l2\nglobal: smap > none > softmax | l1\nglobal: cmap > none > softmax | l1",
        "global: jatt > scale_2 > none | l2",
        "fgbg: even > none > none | l2 bg 4",
        "fgbg: score > local_2 > norm_C | l1",
        "instance: general > none > none | l2",
        "instance: generate > none > none | l2",
        "logits: score | bce",
        "localization: none | kl",
    ],
)
def test_workable_recipes_pass(text: str, make_views: MakeViews):
    reject_on_probe(Recipe.parse(text), make_views())


def test_no_distillation_passes(make_views: MakeViews):
    reject_on_probe(Recipe(), make_views())


def test_nan(make_views: MakeViews):
    assert reason("global: none > none > none | l1", with_student_level(make_views(), math.nan)) == "nan"


def test_infinite(make_views: MakeViews):
    assert reason("global: none > none > none | l1", with_student_level(make_views(), math.inf)) == "infinite"


def test_too_large(make_views: MakeViews):
    # l1 of normal features is about 1: times 1000 it is above 100
    assert reason("global: none > none > none | l1 x 1000", make_views()) == "too-large"


def test_zero_gradient(make_views: MakeViews):
    # One channel standardised over channels, and one class under a softmax over classes, are constant.
    assert reason("global: none > none > norm_C | l2", make_views(channels=1)) == "zero-gradient"
    assert reason("logits: softmax_C | l1", make_views(classes=1)) == "zero-gradient"
    assert reason("fgbg: none > none > none | l1", make_views(boxes=(torch.zeros(0, 4), torch.zeros(0, 4)))) == "zero-gradient"


def test_unsupported_where_the_pair_lacks_what_a_word_reads(make_views: MakeViews):
    views = make_views()
    student = views.student_response
    assert student is not None
    proposals = student.apply(lambda tensor: tensor.flatten(2).transpose(0, 2).flatten(1)[:, :, None, None][:7])
    two_stage = replace(views, student_response=proposals, teacher_response=proposals, crossed_response=None)
    assert reason("global: score > none > none | l2", two_stage) == "unsupported"
    assert reason("instance: general > none > none | l2", two_stage) == "unsupported"
    assert reason("global: generate > none > none | l2", replace(views, generated={})) == "unsupported"
    assert reason("localization: none | kl", replace(views, student_response=replace(student, bins=None))) == "unsupported"
    assert reason("logits: cross | qfl", replace(views, crossed_response=None)) == "unsupported"
    uncrossed = replace(views.crossed_response, bins=None)  # type: ignore[type-var]
    assert reason("localization: cross | kl", replace(views, crossed_response=uncrossed)) == "unsupported"
    other = tuple(bins[:, :16] for bins in student.bins or ())
    assert reason("localization: none | kl", replace(views, student_response=replace(student, bins=other))) == "unsupported"


def test_ascending_where_the_teacher_itself_has_the_higher_loss(make_views: MakeViews):
    # The published mask hides other places of the teacher than of the student: a student of small values is nearer to the
    # half-hidden teacher than the teacher is.
    views = make_views()
    small = replace(views, student_levels=tuple(0.3 * level for level in views.teacher_levels))
    assert reason("global: mask > none > none | l2", small, "released") == "ascending"


def test_the_message_names_the_genome_and_the_value(make_views: MakeViews):
    with pytest.raises(Rejected, match=r"too-large: the loss of `global: .* x 500` is \d+.* on the probe batch, above 100"):
        reject_on_probe(Recipe.parse("global: none > none > none | l1 x 500"), make_views())


def test_the_probe_leaves_the_views_alone(make_views: MakeViews):
    views = make_views()
    before = [level.clone() for level in views.student_levels]
    reject_on_probe(Recipe.parse("global: none > none > none | l2"), views)
    signature(Recipe.parse("global: none > none > none | l2"), views)
    assert all(torch.equal(a, b) and not a.requires_grad for a, b in zip(views.student_levels, before, strict=True))


@pytest.mark.parametrize(
    ("text", "other", "factor"),
    [
        ("global: none > none > none | l2 x 6", "global: none > none > none | l2 x 2", 3.0),
        ("global: none > none > norm_HW | l2 x 1", "global: none > none > none | pearson x 1", 2.0),
        ("global: none > local_2 > none | l1 x 1", "global: none > none > none | l1 x 1", 1.0),
        ("logits: reshape_N | l1 x 1", "logits: reshape_C | l1 x 4", 0.25),
        ("global: score > none > none | kl x 3", "global: none > none > none | kl x 1", 3.0),
        ("fgbg: even > none > none | ssim bg 2", "fgbg: none > none > none | ssim bg 2", 1.0),
        ("localization: pow2 | kl", "localization: none | kl", 1.0),
    ],
)
def test_signatures_of_equal_losses_differ_by_the_factor(text: str, other: str, factor: float, make_views: MakeViews):
    views = make_views(sizes=((16, 12), (8, 6)), strides=(8, 16))
    first, second = (signature(Recipe.parse(recipe), views) for recipe in (text, other))
    assert first.factor(second) == pytest.approx(factor, rel=1e-3)


@pytest.mark.parametrize(
    "other",
    [
        "global: none > none > none | l1",
        "global: none > scale_2 > none | l2",
        "global: none > none > none | smooth_l1",
        "logits: none | l2",
        "global: tatt > none > none | l2",
        "global: jatt > none > none | l2",
        "global: score > none > none | l2",
        "global: generate > none > none | l2",
        "global: none > none > none | l2\nlogits: none | l2",
    ],
)
def test_signatures_of_different_losses_differ(other: str, make_views: MakeViews):
    views = make_views()
    plain = signature(Recipe.parse("global: none > none > none | l2"), views)
    assert plain.factor(signature(Recipe.parse(other), views)) is None


def test_the_loss_is_part_of_the_signature(make_views: MakeViews):
    mine = signature(Recipe.parse("global: none > none > none | l2"), make_views())
    assert mine.factor(replace(mine, loss=mine.loss + 1)) is None
    assert mine.factor(mine) == 1
