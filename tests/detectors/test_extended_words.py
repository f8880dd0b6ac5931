"""The recipes of other methods on real detectors: what they read beside neck levels is there, and moves the student."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from detkds.detectors.distiller import DistilledDetector
from detkds.errors import ConfigError, Rejected
from detkds.genome import Recipe
from detkds.genome.presets import preset
from detkds.losses.filter import reject_on_probe
from detkds.losses.trained import MODULES

METHODS = ("defeat", "fgd", "fkd", "gid", "frs", "ld", "mgd", "crosskd")


def views_of(distiller: DistilledDetector, batch: dict[str, Any]) -> Any:
    return distiller.views(**distiller.data_preprocessor(batch, True))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_a_pair_of_gfl(tiny: Callable[..., nn.Module], batch: dict[str, Any], method: str) -> None:
    teacher: Any = tiny("gfl", seed=1)
    nn.init.zeros_(teacher.bbox_head.gfl_cls.bias)  # scores around one half: LD asks a confident teacher only
    torch.manual_seed(0)
    distiller = DistilledDetector(tiny("gfl"), teacher, preset(method))
    losses = distiller(**distiller.data_preprocessor(batch, True), mode="loss")
    distilled = [loss for name, loss in losses.items() if name.startswith("loss_kd_")]
    assert len(distilled) == len({genome.knowledge for genome in preset(method).active})
    sum(distilled).backward()  # type: ignore[union-attr]
    moved = [p.grad for p in distiller.student.backbone.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in moved)
    assert any(gradient.abs().max() > 0 for gradient in moved)


def test_the_bins_of_gfl_are_the_heads_own(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    student, teacher = tiny("gfl"), tiny("gfl", seed=1)
    views = views_of(DistilledDetector(student, teacher, preset("ld")), batch)
    sides = 4 * (student.bbox_head.reg_max + 1)
    for answer in (views.student_response, views.teacher_response):
        assert [bins.shape[1] for bins in answer.bins] == [sides] * len(answer.scores)
    with torch.no_grad():
        images = teacher.data_preprocessor(batch, False)["inputs"]
        theirs = teacher.bbox_head(teacher.extract_feat(images))[1]
    for read, said in zip(views.teacher_response.bins, theirs, strict=True):
        torch.testing.assert_close(read, said)


@pytest.mark.parametrize("word", MODULES)
def test_the_modules_of_a_word_train_and_are_no_part_of_the_student(
    tiny: Callable[..., nn.Module], batch: dict[str, Any], word: str
) -> None:
    student: Any = tiny("gfl")
    distiller = DistilledDetector(student, tiny("gfl", seed=1), Recipe.parse(f"global: {word} > none > none | l2"))
    assert set(distiller.trained) == {word}
    assert set(distiller.student.state_dict()) == set(tiny("gfl").state_dict())
    before = {name: value.clone() for name, value in distiller.trained.named_parameters()}
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.1)
    for _ in range(2):  # blocks that start as the identity pass gradients to their inner layers from the second step on
        optimizer.zero_grad()
        distiller(**distiller.data_preprocessor(batch, True), mode="loss")["loss_kd_global"].backward()
        optimizer.step()
    unmoved = [name for name, value in distiller.trained.named_parameters() if torch.equal(value, before[name])]
    # Of one cell the softmax over positions is constant, and so it is for a constant that is added to all positions.
    assert not [name for name in unmoved if name.startswith(f"{word}.0.") and name.endswith("weight")]


def test_views_for_any_genome_have_what_every_word_makes(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    recipe = Recipe.parse("global: none > none > none | l2")
    views = views_of(DistilledDetector(tiny("gfl"), tiny("gfl", seed=1), recipe, every_word=True), batch)
    for word in MODULES:
        reject_on_probe(Recipe.parse(f"global: {word} > none > none | l2"), views)


def test_heads_without_bins_reject_ld_on_the_probe(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    recipe: Recipe = preset("ld")
    views = views_of(DistilledDetector(tiny("fcos"), tiny("gfl", seed=1), recipe), batch)
    assert views.student_response.bins is None
    with pytest.raises(Rejected, match="unsupported: localization kl"):
        reject_on_probe(recipe, views)


def test_attention_by_scores_needs_classes_in_common(tiny: Callable[..., nn.Module]) -> None:
    recipe = Recipe.parse("global: score > none > none | l2 x 1")
    with pytest.raises(ConfigError, match="reads scores or boxes, which this pair does not share"):
        DistilledDetector(tiny("gfl"), tiny("gfl", classes=("a", "b")), recipe)
