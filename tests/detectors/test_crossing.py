"""Cross-head predictions (CrossKD): computed again here layer by layer, from the published definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from detkds.detectors import adapt, build_detector
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.heads import crossing
from detkds.errors import ConfigError
from detkds.genome import Recipe
from detkds.genome.presets import preset
from detkds.losses.filter import reject_on_probe

CLASSES = ("ring", "bar", "dot")


HEADS = {"RetinaHead": "retinanet", "FCOSHead": "fcos", "GFLHead": "gfl", "LDHead": "ld", "ATSSHead": "atss"}
LAST = {"gfl": "gfl_cls", "ld": "gfl_cls", "fcos": "conv_cls", "retinanet": "retina_cls", "atss": "atss_cls"}
"""The last layer of each head's class tower."""


def deep(tiny_config: Callable[..., Any], name: str, seed: int, convs: int = 3, **kwargs: Any) -> Any:
    """A tiny detector with a tower of several convolutions; `ld` is GFL with the head of mmdet's LD students."""
    config = tiny_config("gfl" if name == "ld" else name, **kwargs)
    config.model.bbox_head.stacked_convs = convs
    if name == "ld":
        loss = {"type": "KnowledgeDistillationKLDivLoss", "loss_weight": 0.25, "T": 10}
        config.model.bbox_head.update(type="LDHead", loss_ld=loss)
    return build_detector(adapt(config, CLASSES).config, seed=seed)


def views_of(distiller: DistilledDetector, batch: dict[str, Any]) -> Any:
    return distiller.views(**distiller.data_preprocessor(batch, True))


def tower(convs: Any, level: Tensor, first: int = 0, last: int | None = None) -> Tensor:
    for conv in list(convs)[first:last]:
        level = conv(level)
    return level


def moved(student: Tensor, teacher: Tensor) -> Tensor:
    """The published `align_scale`: per channel over images and positions, unbiased deviations."""
    ours, theirs = (side.transpose(0, 1).flatten(1) for side in (student, teacher))
    ours = (ours - ours.mean(1, keepdim=True)) / (ours.std(1, keepdim=True) + 1e-6)
    ours = ours * theirs.std(1, keepdim=True) + theirs.mean(1, keepdim=True)
    return ours.view(student.shape[1], len(student), *student.shape[2:]).transpose(0, 1)


def test_a_students_features_go_through_the_rest_of_the_teachers_tower(tiny_config: Callable[..., Any], batch: dict[str, Any]) -> None:
    # Wang et al.: features before the activation of convolution i of n (3 of 4 in the authors' configs), aligned, activated, then the
    # teacher's convolutions i + 1 … n and its last layer
    student, teacher = deep(tiny_config, "retinanet", 0), deep(tiny_config, "retinanet", 1)
    distiller = DistilledDetector(student, teacher, preset("crosskd"))
    views = views_of(distiller, batch)
    with torch.no_grad():
        images = student.data_preprocessor(batch, False)["inputs"]
        student.train()
        ours, theirs = student.extract_feat(images), teacher.extract_feat(images)
        for index, (mine, taught) in enumerate(zip(ours, theirs, strict=True)):
            if taught.shape[-2:].numel() == 1:
                continue
            pre = [
                head.cls_convs[1].conv(tower(head.cls_convs, level, last=1))
                for head, level in ((student.bbox_head, mine), (teacher.bbox_head, taught))
            ]
            logits = teacher.bbox_head.retina_cls(tower(teacher.bbox_head.cls_convs, F.relu(moved(*pre)), first=2))
            scores = logits.sigmoid().unflatten(1, (-1, len(CLASSES))).amax(1)
            torch.testing.assert_close(views.crossed_response.scores[index], scores, rtol=1e-4, atol=1e-5)


def test_every_head_that_is_accepted_has_a_case_here(tiny_config: Callable[..., Any]) -> None:
    assert set(HEADS) == crossing.HEADS
    assert {name: type(deep(tiny_config, name, 0).bbox_head).__name__ for name in HEADS.values()} == {
        name: head for head, name in HEADS.items()
    }


@pytest.mark.parametrize("name", HEADS.values())
@pytest.mark.parametrize("convs", [1, 2])
def test_a_student_that_is_the_teacher_gets_the_teachers_predictions(
    tiny_config: Callable[..., Any], batch: dict[str, Any], name: str, convs: int
) -> None:
    teacher = deep(tiny_config, name, 1, convs)
    student = deep(tiny_config, name, 1, convs)
    teacher.train()  # as the student is, so that batch norm of the backbone agrees; a distiller sets it to evaluation again
    with torch.no_grad():
        images = student.data_preprocessor(batch, False)["inputs"]
        levels = student.extract_feat(images)
        with crossing.towers(student.bbox_head) as features:
            own = student.bbox_head(levels)
        sent = crossing.crossed(teacher.bbox_head, levels, features)
    for mine, theirs in zip(own, sent, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            if a.shape[-2:].numel() > 1:
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [("gfl", "gfl"), ("fcos", "fcos"), ("atss", "atss"), ("retinanet", "gfl"), ("gfl", "retinanet"), ("atss", "gfl"), ("gfl", "atss")],
)
def test_cross_predictions_move_the_students_tower_and_no_teacher(
    tiny_config: Callable[..., Any], batch: dict[str, Any], student: str, teacher: str
) -> None:
    taught = deep(tiny_config, teacher, 1)
    nn.init.zeros_(getattr(taught.bbox_head, LAST[teacher]).bias)  # scores around one half: boxes of a confident teacher only are compared
    before = {name: value.clone() for name, value in taught.state_dict().items()}
    distiller = DistilledDetector(deep(tiny_config, student, 0), taught, preset("crosskd"))
    losses = distiller(**distiller.data_preprocessor(batch, True), mode="loss")
    (losses["loss_kd_logits"] + losses["loss_kd_localization"]).backward()
    head = distiller.student.bbox_head
    for convs in (head.cls_convs, head.reg_convs):
        assert float(convs[1].conv.weight.grad.abs().max()) > 0
        assert convs[2].conv.weight.grad is None  # the student's last convolution takes no part
    assert all(parameter.grad is None for parameter in taught.parameters())
    assert all(torch.equal(value, before[name]) for name, value in taught.state_dict().items())
    assert not any(module._forward_pre_hooks for module in [*taught.modules(), *distiller.student.modules()])


def test_a_constant_channel_and_a_single_cell_are_finite() -> None:
    for shape in ((2, 3, 4, 4), (1, 3, 1, 1)):
        student = torch.ones(shape, requires_grad=True)
        made = crossing.aligned(student, torch.randn(shape))
        made.square().sum().backward()
        assert made.isfinite().all()
        assert student.grad is not None
        assert student.grad.isfinite().all()


def test_alignment_keeps_large_features_of_half_precision_finite() -> None:
    draws = torch.Generator().manual_seed(0)
    student, teacher = (1000 * torch.randn(1, 3, 8, 8, generator=draws) for _ in range(2))  # variances of 1e6, above 65,504
    made = crossing.aligned(student.half(), teacher.half())
    assert made.dtype == torch.float16
    torch.testing.assert_close(made.float(), crossing.aligned(student, teacher), rtol=1e-2, atol=5)


def test_pairs_without_matching_towers_are_refused_with_the_reason(tiny: Callable[..., nn.Module], tiny_config: Callable[..., Any]) -> None:
    fine = tiny_config("gfl")
    fine.model.bbox_head.anchor_generator.strides = [4, 8, 16, 32, 64]
    cases: list[tuple[Any, Any, str]] = [
        (tiny("faster_rcnn"), tiny("faster_rcnn"), "the student has no tower of convolutions"),
        (tiny("gfl"), tiny("gfl", width=32), r"other channels, \[16, 16\] in the student and \[32, 32\] in the teacher"),
        (build_detector(fine, seed=0), tiny("fcos"), "the heads have other strides"),
    ]
    for student, teacher, reason in cases:
        assert crossing.mismatch(student, teacher)
        with pytest.raises(ConfigError, match=f"cannot share cross-head predictions: .*{reason}.*another transform than cross"):
            DistilledDetector(student, teacher, Recipe.parse("logits: cross | qfl"))


def test_views_for_any_genome_have_cross_predictions(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    recipe = Recipe.parse("logits: none | l2")
    views = views_of(DistilledDetector(tiny("gfl"), tiny("gfl", seed=1), recipe, every_word=True), batch)
    reject_on_probe(Recipe.parse("logits: cross | qfl"), views)
    assert views_of(DistilledDetector(tiny("gfl"), tiny("gfl", seed=1), recipe), batch).crossed_response is None
    assert views_of(DistilledDetector(tiny("gfl"), tiny("gfl", width=32), recipe, every_word=True), batch).crossed_response is None
