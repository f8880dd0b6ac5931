"""DistilledDetector: the student trains as ever, the teacher stays as it is, and all five knowledges reach the student."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from detkds.detectors import DistilledDetector, build_detector, supported
from detkds.errors import ConfigError
from detkds.genome import Knowledge, Recipe
from detkds.losses.distill import RecipeLoss

ALL = Recipe.parse(
    "global: none > none > norm_HW | l2 x 1\n"
    "fgbg: none > none > norm_C | l1 x 2\n"
    "instance: none > none > norm_HW | l2 x 1\n"
    "logits: none | l2 x 3\n"
    "localization: none | giou x 1"
)
FEATURES = Recipe.parse("global: mask > none > norm_HW | l2 x 1")
LOGITS = Recipe.parse("logits: none | l2 x 1")
KINDS = {f"loss_kd_{knowledge}" for knowledge in Knowledge}
PAIRS = [
    ("retinanet", "retinanet"),
    ("fcos", "fcos"),
    ("gfl", "gfl"),
    ("faster_rcnn", "faster_rcnn"),
    ("retinanet", "fcos"),
    ("retinanet", "gfl"),
    ("fcos", "retinanet"),
    ("faster_rcnn", "cascade_rcnn"),
    ("retinanet", "faster_rcnn"),
    ("faster_rcnn", "gfl"),
]


def confident(detector: nn.Module) -> nn.Module:
    """A teacher that is sure of something somewhere; localization counts confident cells only."""
    generator = torch.Generator().manual_seed(1)
    head = detector.roi_head.bbox_head if hasattr(detector, "roi_head") else detector.bbox_head
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
            if name.endswith(("retina_cls.bias", "conv_cls.bias", "gfl_cls.bias")):
                parameter.add_(5.0)
    return detector


def calls(module: nn.Module) -> list[int]:
    """A list that grows by one with each forward pass of the module."""
    seen: list[int] = []
    module.register_forward_hook(lambda *_: seen.append(1))
    return seen


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def unchanged(module: nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(("student", "teacher"), PAIRS)
def test_every_knowledge_reaches_the_student_and_leaves_the_teacher_alone(
    tiny: Callable[..., nn.Module], batch: dict[str, Any], student: str, teacher: str
) -> None:
    ours, theirs = tiny(student), confident(tiny(teacher, seed=1, width=32))
    before = snapshot(theirs)
    detector = DistilledDetector(ours, theirs, ALL).train()
    assert set(supported(ours, theirs).values()) == {None}
    losses = detector(**detector.data_preprocessor(batch, True), mode="loss")
    distilled = {name: losses.pop(name) for name in KINDS}
    assert losses
    for name, loss in distilled.items():
        assert loss.shape == ()
        assert loss.isfinite(), name
        assert loss > 0, name
        (gradient,) = torch.autograd.grad(loss, ours.backbone.conv1.weight, retain_graph=True)
        assert gradient.isfinite().all(), name
        assert gradient.abs().sum() > 0, name
    total, _ = detector.parse_losses({**losses, **distilled})
    total.backward()
    assert all(parameter.grad is None for parameter in theirs.parameters())
    assert detector.connectors.channels[0].weight.grad is not None
    assert not any(module.training for module in theirs.modules())
    assert unchanged(theirs, before)


@pytest.mark.parametrize("name", ["retinanet", "faster_rcnn"])
def test_each_part_runs_once_a_step(tiny: Callable[..., nn.Module], batch: dict[str, Any], name: str) -> None:
    student, teacher = tiny(name), tiny(name)
    detector = DistilledDetector(student, teacher, ALL)
    data = detector.data_preprocessor(batch, True)
    head = "roi_head.bbox_head" if name == "faster_rcnn" else "bbox_head"
    pair = {"student": student, "teacher": teacher}
    counts = {f"{side} {part}": calls(pair[side].get_submodule(part)) for side in pair for part in ("backbone", "neck", head)}
    detector(**data, mode="loss")
    assert {part: len(seen) for part, seen in counts.items()} == dict.fromkeys(counts, 1)


@pytest.mark.parametrize(("recipe", "head_runs"), [(FEATURES, 0), (LOGITS, 1)])
def test_the_teacher_runs_only_as_far_as_needed(
    tiny: Callable[..., nn.Module], batch: dict[str, Any], recipe: Recipe, head_runs: int
) -> None:
    teacher = tiny("retinanet")
    detector = DistilledDetector(tiny("retinanet"), teacher, recipe)
    neck, head = calls(teacher.neck), calls(teacher.bbox_head)
    losses = detector(**detector.data_preprocessor(batch, True), mode="loss")
    assert (len(neck), len(head)) == (1, head_runs)
    assert len(KINDS & set(losses)) == 1


@pytest.mark.parametrize("recipe", [Recipe(), Recipe.parse("global: none > none > none | l2 x 0")])
def test_without_an_active_genome_the_teacher_never_runs(tiny: Callable[..., nn.Module], batch: dict[str, Any], recipe: Recipe) -> None:
    student, teacher = tiny("retinanet"), tiny("retinanet")
    seen = calls(teacher.backbone)
    detector = DistilledDetector(student, teacher, recipe)
    data = detector.data_preprocessor(batch, True)
    losses = detector(**data, mode="loss")
    assert (detector.teacher, seen) == (None, [])
    plain = deepcopy(student)(**data, mode="loss")
    assert {name: sum(value) for name, value in losses.items()} == {name: sum(value) for name, value in plain.items()}


@pytest.mark.parametrize("name", ["retinanet", "faster_rcnn"])
def test_the_students_own_losses_are_those_without_distillation(tiny: Callable[..., nn.Module], batch: dict[str, Any], name: str) -> None:
    student = tiny(name)
    plain = deepcopy(student)
    detector = DistilledDetector(student, tiny(name, seed=1, width=32), ALL)
    data = detector.data_preprocessor(batch, True)
    torch.manual_seed(7)
    expected, _ = plain.parse_losses(plain(**deepcopy(data), mode="loss"))
    torch.manual_seed(7)
    found, _ = detector.parse_losses({name: value for name, value in detector(**data, mode="loss").items() if name not in KINDS})
    assert torch.equal(found, expected)
    assert unchanged(student, snapshot(plain))  # batch statistics moved alike


def test_the_losses_are_the_recipes_on_the_views(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    detector = DistilledDetector(tiny("retinanet"), confident(tiny("retinanet", seed=1, width=32)), ALL)
    data = detector.data_preprocessor(batch, True)
    expected = RecipeLoss(ALL)(detector.views(**data), 0)
    losses = detector(**data, mode="loss")
    for knowledge, loss in expected.items():
        torch.testing.assert_close(losses[f"loss_kd_{knowledge}"], loss)


def test_the_truth_is_in_pixels_of_the_padded_batch(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    detector = DistilledDetector(tiny("retinanet"), tiny("retinanet"), FEATURES)
    views = detector.views(**detector.data_preprocessor(batch, True))
    assert views.batch_shape == (96, 96)
    assert [boxes.tolist() for boxes in views.boxes] == [[[8.0, 8.0, 40.0, 44.0], [30.0, 20.0, 76.0, 90.0]]] * 2
    assert views.strides == (8, 16, 32, 64, 128)


@pytest.mark.parametrize("name", ["retinanet", "faster_rcnn"])
def test_looking_leaves_no_trace(tiny: Callable[..., nn.Module], batch: dict[str, Any], name: str) -> None:
    detector = DistilledDetector(tiny(name), tiny(name, seed=1), ALL).train()
    data = detector.data_preprocessor(batch, True)
    before = snapshot(detector)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    views = detector.views(**data)
    assert torch.equal(torch.rand(1), expected)
    assert unchanged(detector, before)
    sum(level.sum() for level in views.student_levels).backward()
    assert detector.student.backbone.conv1.weight.grad.abs().sum() > 0


def test_no_teacher_in_states_modes_and_parameters(tiny: Callable[..., nn.Module]) -> None:
    student, teacher = tiny("retinanet"), tiny("retinanet", width=32)
    names = {f"student.{name}" for name in student.state_dict()}
    detector = DistilledDetector(student, teacher, ALL)
    extra = set(detector.state_dict()) - names
    assert {name.split(".")[0] for name in extra} == {"connectors", "_extra_state"}
    assert set(detector.student.state_dict()) == {name.removeprefix("student.") for name in names}
    detector.train()
    assert detector.student.training
    assert not teacher.training
    mine = {id(parameter) for parameter in detector.parameters()}
    assert not mine & {id(parameter) for parameter in teacher.parameters()}
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    detector.to(torch.float64)
    assert teacher.neck.lateral_convs[0].conv.weight.dtype == torch.float64


def test_the_step_counter_moves_the_mask_and_survives_a_checkpoint(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    detector = DistilledDetector(tiny("retinanet").eval(), tiny("retinanet", seed=1), FEATURES)
    data = detector.data_preprocessor(batch, True)
    first, second = (detector(**data, mode="loss")["loss_kd_global"].item() for _ in range(2))
    assert first != second
    resumed = DistilledDetector(tiny("retinanet").eval(), tiny("retinanet", seed=1), FEATURES)
    resumed.load_state_dict(detector.state_dict())
    assert resumed.step == 2
    resumed.step = 1
    assert resumed(**data, mode="loss")["loss_kd_global"].item() == second


def test_mmengine_trains_it(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    student = tiny("retinanet")
    start = student.bbox_head.retina_cls.bias.clone()
    detector = DistilledDetector(student, tiny("retinanet", seed=1, width=32), ALL)
    detector.init_weights()  # a runner calls it; the student keeps its weights
    assert torch.equal(student.bbox_head.retina_cls.bias, start)
    optimizer = OptimWrapper(torch.optim.SGD(detector.parameters(), lr=1e-3))
    log = detector.train_step(batch, optimizer)
    assert set(log) >= KINDS
    assert not torch.equal(student.bbox_head.retina_cls.bias, start)


def test_prediction_is_the_students(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    student = tiny("retinanet")
    student.test_cfg.score_thr = student.bbox_head.test_cfg.score_thr = 0.0
    detector = DistilledDetector(student, tiny("retinanet", seed=1), ALL).eval()
    found = detector.val_step(deepcopy(batch))
    expected = student.val_step(deepcopy(batch))
    assert len(found[0].pred_instances) > 0
    assert all(torch.equal(a.pred_instances.bboxes, b.pred_instances.bboxes) for a, b in zip(found, expected, strict=True))


def test_no_boxes_is_no_trouble(tiny: Callable[..., nn.Module], make_batch: Callable[..., Any]) -> None:
    for name in ("retinanet", "faster_rcnn"):
        detector = DistilledDetector(tiny(name), tiny(name, seed=1, width=32), ALL)
        losses = detector(**detector.data_preprocessor(make_batch(boxes=False), True), mode="loss")
        total, _ = detector.parse_losses(losses)
        total.backward()
        assert total.isfinite()
        assert losses["loss_kd_instance"] == 0


def test_bfloat16_autocast(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    detector = DistilledDetector(tiny("retinanet"), confident(tiny("retinanet", seed=1, width=32)), ALL)
    data = detector.data_preprocessor(batch, True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = detector(**data, mode="loss")
    assert {losses[name].dtype for name in KINDS} == {torch.float32}
    total, _ = detector.parse_losses(losses)
    total.backward()
    assert detector.student.backbone.conv1.weight.grad.isfinite().all()


def test_fewer_levels_and_other_strides(tiny_config: Callable[..., Any], batch: dict[str, Any]) -> None:
    config = tiny_config("fcos", levels=3)  # 8, 16, 32 against the student's 4, 8, 16, 32, 64
    config.model.bbox_head.update(strides=[8, 16, 32], regress_ranges=((-1, 32), (32, 64), (64, 1e8)))
    teacher = confident(build_detector(config, seed=1))
    wide = tiny_config("retinanet")
    wide.model.neck.start_level = 0
    wide.model.bbox_head.anchor_generator.strides = [4, 8, 16, 32, 64]
    detector = DistilledDetector(build_detector(wide, seed=0), teacher, ALL)
    data = detector.data_preprocessor(batch, True)
    views = detector.views(**data)
    assert views.strides == (8, 16, 32)
    assert [tuple(scores.shape) for scores in views.student_response.scores] == [(2, 3, size, size) for size in (12, 6, 3)]
    losses = detector(**data, mode="loss")
    assert all(losses[name].isfinite() for name in KINDS)


def test_a_pair_that_cannot_work_says_why(tiny: Callable[..., nn.Module]) -> None:
    student = tiny("retinanet")
    with pytest.raises(ConfigError, match="needs a teacher, got none"):
        DistilledDetector(student, None, ALL)
    with pytest.raises(ConfigError, match="cannot share logits knowledge: the student distinguishes 3 classes, the teacher 5"):
        DistilledDetector(student, tiny("retinanet", classes=tuple("abcde")), ALL)
    assert set(supported(student, tiny("faster_rcnn")).values()) == {None}  # through matched answers
    assert "cascade student" in str(supported(tiny("cascade_rcnn"), tiny("faster_rcnn"))[Knowledge.LOCALIZATION])
    student.bbox_head.__class__ = type("OtherHead", (type(student.bbox_head),), {})
    reasons = supported(student, tiny("fcos"))
    assert "of RetinaNet, the student, are not read" in str(reasons[Knowledge.LOCALIZATION])
    assert reasons[Knowledge.GLOBAL] is None
    DistilledDetector(student, tiny("fcos"), FEATURES)
    with pytest.raises(ConfigError, match="offers no views"):
        DistilledDetector(student, None, Recipe()).views(torch.zeros(1, 3, 32, 32), [])
