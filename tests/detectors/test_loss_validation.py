"""Students scored by their detection loss on search-val: mmdet's own loss, the same for equal students, and unseen by the student."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import pytest
import torch
from pictures import make_config, make_source
from small_families import FAMILIES, small
from torch import nn

from detkds.detectors import build_detector, load_config
from detkds.detectors import loss_validation as module
from detkds.detectors.loss_validation import LossValidation, remark
from detkds.detectors.objective import ProxyObjective
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import TrainSettings
from detkds.errors import Rejected
from detkds.genome import Recipe
from detkds.objective import Goal, Rung

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
SETTINGS = TrainSettings(epochs=2, batch_size=2, device="cpu")
PKD = Recipe.parse("global: none > none > norm_batch | l2")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Source]:
    folder = tmp_path_factory.mktemp("data")
    return make_source(folder / "train", 6), make_source(folder / "val", 6, seed=1)  # one without objects, on which no config trains


def validation(val: Source, student: nn.Module, config: Any = None, *, early_stop: bool = True) -> LossValidation:
    return LossValidation(config or make_config(flip=0.0), val, student, SETTINGS, early_stop=early_stop)


@pytest.fixture(scope="module")
def student() -> nn.Module:
    built: nn.Module = build_detector(make_config(), seed=3)
    return built


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_has_one_and_the_student_does_not_notice(sources: tuple[Source, Source], name: str) -> None:
    student = build_detector(small(name), seed=1)
    before, modes = copy.deepcopy(student.state_dict()), [part.training for part in student.modules()]
    scored = validation(sources[1], student, small(name))
    torch.manual_seed(5)
    first, drawn = scored.score(student), torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)  # the generators are as they were
    assert scored.score(student) == first
    assert 0 < first < 1
    assert [part.training for part in student.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in student.state_dict().items())


def test_it_is_the_mean_of_mmdets_own_loss_over_the_images(sources: tuple[Source, Source], student: Any) -> None:
    found = validation(sources[1], student).outcome(student, 7, None)
    samples = Samples(make_config(flip=0.0), sources[1], training=True)
    student.eval()
    losses = []
    for start in (0, 2, 4):  # 5 images in batches of 2
        batch = [samples[0, index] for index in range(start, min(start + 2, 5))]
        data = {"inputs": [one["inputs"] for one in batch], "data_samples": [one["data_samples"] for one in batch]}
        with torch.no_grad():
            parts = student(**student.data_preprocessor(data, False), mode="loss")
        losses += len(batch) * [sum(float(torch.stack(list(levels)).sum()) for levels in parts.values())]
    assert found.details["val_loss"] == pytest.approx(sum(losses) / 5, rel=1e-6)
    assert found.score == 1 / (1 + found.details["val_loss"])
    assert found.details.keys() == {"val_loss", "AP", "AP50", "AP75"}


def test_it_stops_where_the_floor_is_out_of_reach(sources: tuple[Source, Source], student: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    loss = module._loss

    def watch(model: Any, batch: Any, number: int) -> float:
        looked_at.append(number)
        return loss(model, batch, number)

    monkeypatch.setattr(module, "_loss", watch)
    scored = validation(sources[1], student)
    full = scored.outcome(student, 7, None)
    assert looked_at == [0, 1, 2]
    early = scored.outcome(student, 7, 0.99)
    assert looked_at == [0, 1, 2, 0]
    assert early.partial
    assert full.score < early.score < 0.99
    assert scored.outcome(student, 7, full.score) == full  # a floor that is reached hides nothing
    below = scored.outcome(student, 7, full.score + 1e-9)
    assert (below.score, below.partial, below.details.keys()) == (full.score, False, {"val_loss"})  # known whole; its AP is spared
    assert validation(sources[1], student, early_stop=False).outcome(student, 7, 0.99) == full


def test_a_loss_that_is_not_finite_is_rejected_at_the_end_and_the_lowest_score_before(sources: tuple[Source, Source]) -> None:
    broken: Any = build_detector(make_config(), seed=3)
    with torch.no_grad():
        broken.bbox_head.retina_cls.bias.fill_(float("nan"))
    scored = validation(sources[1], broken)
    assert scored.score(broken) == 0
    with pytest.raises(Rejected, match=r"^infinite: the detection loss of the trained student on search-val is not finite$") as caught:
        scored.outcome(broken, 7, None)
    assert caught.value.student_steps == 7


def test_a_batch_below_0_counts_as_0(sources: tuple[Source, Source], student: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_loss", lambda model, batch, number: -3.0 if number else 1.0)
    assert validation(sources[1], student).outcome(student, 7, None).details["val_loss"] == 2 / 5


def test_a_candidate_has_it_at_its_rungs_and_at_the_end_and_is_another_trial(sources: tuple[Source, Source]) -> None:
    teacher: Any = build_detector(make_config(12), seed=9)
    by_loss, by_ap = (ProxyObjective(make_config(), teacher, *sources, SETTINGS, score=score) for score in ("loss", "ap"))
    assert by_loss.identity == {**by_ap.identity, "score": "loss"}
    assert by_loss.identify(PKD) != by_ap.identify(PKD)
    found = by_loss(PKD, Goal(rungs=(Rung(Fraction(1, 2)), Rung(Fraction(1)))))
    assert found.rungs["1"] == found.score == 1 / (1 + found.details["val_loss"])
    assert 0 < found.rungs["1/2"] < found.score  # it learns
    assert found.details["AP"] == by_ap(PKD, Goal()).score  # the same training


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("retinanet/retinanet_r50_fpn_1x_coco", ""),
        ("faster_rcnn/faster-rcnn_r50_fpn_1x_coco", ""),
        ("fcos/fcos_r50-caffe_fpn_gn-head_1x_coco", ""),
        ("deformable_detr/deformable-detr_r50_16xb2-50e_coco", ""),
        ("gfl/gfl_r50_fpn_1x_coco", "QualityFocalLoss"),
        ("rtmdet/rtmdet_tiny_8xb32-300e_coco", "QualityFocalLoss and DynamicSoftLabelAssigner"),
        ("yolox/yolox_nano_8xb8-300e_coco", "SimOTAAssigner"),
        ("tood/tood_r50_fpn_1x_coco", "QualityFocalLoss and TaskAlignedAssigner"),
    ],
)
def test_heads_whose_targets_follow_their_predictions_are_named(name: str, parts: str) -> None:
    told = remark(load_config(name, trust=False))
    assert told.startswith(f"search.score: loss: the targets of {parts} depend on") if parts else told == ""


def test_an_untrained_student_of_such_a_head_has_almost_no_loss(sources: tuple[Source, Source]) -> None:
    student = build_detector(small("rtmdet-tiny"), seed=1)
    assert validation(sources[1], student, small("rtmdet-tiny")).score(student) > 0.99
