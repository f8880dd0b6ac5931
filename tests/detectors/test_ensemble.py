"""Several teachers: the loss is the weighted mean of what each teaches alone, or goes by how they agree with the labels, and on images
without labels with one another."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.structures import InstanceData
from pictures import make_config, make_source
from test_distiller import ALL, FEATURES, KINDS, calls, confident, snapshot, unchanged
from test_parallel import assert_near, config_of_an_fcos
from test_unlabelled_images import beside, unlabelled_source
from torch import Tensor, nn

from detkds.detectors import DistilledDetector, build_detector, load_weights, supported
from detkds.detectors.agreement import agreement, confirmed
from detkds.detectors.configs.data_config import read_config
from detkds.detectors.ensemble import Ensemble
from detkds.detectors.teacher_pass import TeacherPass
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.local_processes import run_in_processes
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.parallel import Group
from detkds.detectors.training.train import Start, train
from detkds.detectors.training.unlabelled import UnlabelledSamples
from detkds.errors import ConfigError, Interrupted
from detkds.genome import Knowledge, Recipe
from detkds.genome.presets import preset
from detkds.unlabelled import Unlabelled

Build = Callable[..., nn.Module]
FAMILIES = ["retinanet", "faster_rcnn"]


def losses_of(student: nn.Module, teacher: nn.Module, batch: dict[str, Any], recipe: Recipe = ALL) -> dict[str, Tensor]:
    """The distillation losses of one step of a copy of the student."""
    detector = DistilledDetector(deepcopy(student), teacher, recipe).train()
    torch.manual_seed(0)
    losses = detector(**detector.data_preprocessor(deepcopy(batch), True), mode="loss")
    return {name: loss for name, loss in losses.items() if name in KINDS}


def says(teacher: Any, found: list[InstanceData]) -> nn.Module:
    """The teacher, with these detections for the images of a batch."""

    def predict(inputs: Tensor, samples: Any, rescale: bool = True) -> Any:
        teacher.extract_feat(inputs)
        for sample, instances in zip(samples, found, strict=True):
            sample.pred_instances = instances
        return samples

    teacher.predict = predict
    return teacher  # type: ignore[no-any-return]


def detections(sample: Any, score: float) -> InstanceData:
    """The labels of an image as detections."""
    labels = sample.gt_instances
    return InstanceData(bboxes=labels.bboxes.clone(), labels=labels.labels.clone(), scores=torch.full((len(labels.labels),), score))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("weights", [None, (3.0, 1.0)])
def test_two_identical_teachers_teach_what_one_teaches(tiny: Build, batch: dict[str, Any], family: str, weights: Any) -> None:
    student, teacher = tiny(family), confident(tiny(family, seed=1, width=32))
    alone = losses_of(student, teacher, batch)
    together = losses_of(student, Ensemble([teacher, deepcopy(teacher)], weights), batch)
    assert alone.keys() == together.keys() == KINDS
    for name in KINDS:
        assert torch.equal(alone[name], together[name]), name


@pytest.mark.parametrize("others", [("fcos", "retinanet"), ("gfl", "faster_rcnn")])
def test_the_loss_is_the_weighted_mean_of_what_each_teaches_alone(tiny: Build, batch: dict[str, Any], others: tuple[str, str]) -> None:
    student = tiny("retinanet")
    teachers = [confident(tiny(others[0], seed=1, width=32)), confident(tiny(others[1], seed=2, width=24))]
    each = [losses_of(student, teacher, batch) for teacher in teachers]
    both = losses_of(student, Ensemble(teachers, (1, 3)), batch)
    for name in KINDS:
        assert each[0][name] != each[1][name], name
        torch.testing.assert_close(both[name], 0.25 * each[0][name] + 0.75 * each[1][name])


@pytest.mark.parametrize(
    ("scores", "share"),
    [
        ([(0.1, 0.1), (0.9, 0.9)], 0.0),
        ([(0.9, 0.9), (0.1, 0.1)], 1.0),
        ([(0.9, 0.1), (0.1, 0.9)], 0.5),
        ([(0.5, 0.5), (0.5, 0.5)], 1.0),  # of equal ones the first
    ],
)
def test_each_image_is_taught_by_the_teacher_that_agrees_best_with_its_labels(
    tiny: Build, batch: dict[str, Any], scores: list[tuple[float, float]], share: float
) -> None:
    student = tiny("retinanet")
    teachers = [confident(tiny("fcos", seed=1, width=32)), confident(tiny("retinanet", seed=2))]
    each = [losses_of(student, teacher, batch) for teacher in teachers]
    for teacher, of_images in zip(teachers, scores, strict=True):
        says(teacher, [detections(sample, score) for sample, score in zip(batch["data_samples"], of_images, strict=True)])
    both = losses_of(student, Ensemble(teachers, combine="agreement"), batch)
    for name in KINDS:
        torch.testing.assert_close(both[name], share * each[0][name] + (1 - share) * each[1][name])


def test_agreement_looks_at_what_each_teacher_really_detects(tiny: Build, batch: dict[str, Any]) -> None:
    student = tiny("retinanet")
    teachers = [confident(tiny("fcos", seed=1, width=32)), confident(tiny("faster_rcnn", seed=2))]
    each = [losses_of(student, teacher, batch, FEATURES) for teacher in teachers]
    passes = [calls(teacher.get_submodule("backbone")) for teacher in teachers]
    both = losses_of(student, Ensemble(teachers, combine="agreement"), batch, FEATURES)
    assert [len(seen) for seen in passes] == [1, 1]  # detections included
    name = "loss_kd_global"
    options = [share * each[0][name] + (1 - share) * each[1][name] for share in (0, 0.5, 1)]
    assert min(abs(float((both[name] - option).detach())) for option in options) < 1e-5


def instances(boxes: list[list[float]], labels: list[int], scores: list[float] | None = None) -> InstanceData:
    given = {} if scores is None else {"scores": torch.tensor(scores)}
    return InstanceData(bboxes=torch.tensor(boxes).reshape(-1, 4), labels=torch.tensor(labels, dtype=torch.long), **given)


BOX = [0.0, 0.0, 10.0, 10.0]
HALF = [0.0, 0.0, 10.0, 5.0]


@pytest.mark.parametrize(
    ("labels", "found", "scale", "expected"),
    [
        (instances([BOX], [1]), instances([BOX], [1], [0.8]), 1, 2.6 / 2.8),
        (instances([BOX], [1]), instances([BOX], [0], [0.8]), 1, 1 / 2.8),  # another class
        (instances([BOX], [1]), instances([HALF], [1], [0.8]), 1, 1.8 / 2.8),
        (instances([BOX], [1]), instances([BOX, BOX], [1, 1], [0.8, 0.4]), 1, 2.6 / 3.2),  # once more is once too often
        (instances([BOX], [1]), instances([[2 * side for side in BOX]], [1], [0.8]), 2, 2.6 / 2.8),
        (instances([BOX], [1]), instances([], [], []), 1, 1 / 2),
        (instances([], []), instances([BOX], [1], [0.5]), 1, 1 / 1.5),
        (instances([], []), instances([], [], []), 1, 1.0),
    ],
)
def test_agreement_by_hand(labels: InstanceData, found: InstanceData, scale: float, expected: float) -> None:
    assert float(agreement(labels, found, scale)) == pytest.approx(expected)


OTHER = instances([[20.0, 20.0, 30.0, 30.0]], [1], [0.9])
SURE = instances([BOX], [1], [0.9])
NONE = instances([], [], [])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([[SURE], [OTHER]], [1 / 2, 1 / 2]),  # two confirm each other equally, whatever they find
        ([[SURE], [NONE]], [1 / 2, 1 / 2]),
        ([[SURE], [OTHER], [SURE]], [1 / 2, 0, 1 / 2]),  # the majority
        ([[OTHER], [SURE], [SURE]], [0, 1 / 2, 1 / 2]),
        ([[SURE], [SURE], [SURE]], [1 / 3, 1 / 3, 1 / 3]),
        ([[NONE], [NONE], [NONE]], [1 / 3, 1 / 3, 1 / 3]),
        ([[NONE], [NONE], [SURE]], [1 / 2, 1 / 2, 0]),  # nothing is found by two of three
        # Halves of a box and the whole: with the whole an overlap of 1/2 each, with one another of 0.
        ([[instances([HALF], [1], [0.9])], [SURE], [instances([[0.0, 5.0, 10.0, 10.0]], [1], [0.9])]], [0, 1, 0]),
        ([[SURE, OTHER], [OTHER, OTHER], [SURE, NONE]], [1 / 2, 1 / 4, 1 / 4]),  # images count alike: (1/2, 0, 1/2) and (1/2, 1/2, 0)
    ],
)
def test_without_labels_an_image_is_taught_by_the_teacher_that_the_others_confirm(
    found: list[list[InstanceData]], expected: list[float]
) -> None:
    assert confirmed(found).tolist() == pytest.approx(expected)


def bare_losses_of(student: nn.Module, teacher: nn.Module, batch: dict[str, Any], recipe: Recipe = ALL) -> dict[str, Tensor]:
    """The distillation losses of one step on images without labels alone."""
    detector = DistilledDetector(deepcopy(student), teacher, recipe, Unlabelled(min_score=0.01)).train()
    torch.manual_seed(0)
    data = detector.data_preprocessor(deepcopy(batch), True)
    losses = detector(**data, mode="loss", unlabelled=beside(detector, batch, weight=1.0))
    return {name: loss for name, loss in losses.items() if name in KINDS}


@pytest.mark.parametrize(("combine", "weights", "share"), [("mean", (1.0, 3.0), 0.25), ("agreement", None, 0.5)])
def test_on_images_without_labels_the_losses_of_all_teachers_count(
    tiny: Build, batch: dict[str, Any], combine: str, weights: Any, share: float
) -> None:
    """The detections of the first are the objects for all, so the second is compared beside the first's detections."""
    student = tiny("retinanet")
    teachers = [confident(tiny("fcos", seed=1, width=32)), confident(tiny("retinanet", seed=2))]
    first, second = (bare_losses_of(student, teacher, batch) for teacher in teachers)
    both = bare_losses_of(student, Ensemble(teachers, weights, combine), batch)
    swapped = bare_losses_of(student, Ensemble(teachers[::-1], weights and weights[::-1], combine), batch)
    for name in ("loss_kd_global", "loss_kd_logits", "loss_kd_localization"):  # dense heads answer for every cell, whatever the objects
        torch.testing.assert_close(both[name], share * first[name] + (1 - share) * second[name])
        torch.testing.assert_close(both[name], swapped[name])
    for name in ("loss_kd_fgbg", "loss_kd_instance"):
        assert both[name] > 0
        assert not torch.isclose(both[name], swapped[name]), name


def test_of_three_teachers_the_one_that_nobody_confirms_does_not_teach(tiny: Build, batch: dict[str, Any]) -> None:
    student = tiny("retinanet")
    teachers = [confident(tiny("fcos", seed=1, width=32)), confident(tiny("retinanet", seed=2)), confident(tiny("retinanet", seed=3))]
    each = [bare_losses_of(student, teacher, batch) for teacher in teachers]
    for teacher, score in zip(teachers, (0.9, 0.1, 0.9), strict=True):
        found = [detections(sample, score) for sample in batch["data_samples"]]
        says(teacher, found if score > 0.5 else [one[:0] for one in found])
    together = bare_losses_of(student, Ensemble(teachers, combine="agreement"), batch)
    for name in ("loss_kd_global", "loss_kd_logits", "loss_kd_localization"):
        torch.testing.assert_close(together[name], (each[0][name] + each[2][name]) / 2)


def test_nothing_is_detected_on_images_without_labels_that_no_share_needs(tiny: Build, batch: dict[str, Any]) -> None:
    student = tiny("retinanet")
    teachers = [tiny("fcos", seed=1, width=32), tiny("retinanet", seed=2), tiny("retinanet", seed=3)]
    recipe = Recipe.parse("global: none > none > none | l2 x 2")
    for combine, count, expected in (("mean", 3, 0), ("agreement", 2, 1), ("agreement", 3, 2)):  # one on the labelled images
        heads = [calls(teacher.get_submodule("bbox_head")) for teacher in teachers[:count]]
        bare_losses_of(student, Ensemble(teachers[:count], combine=combine), batch, recipe)
        assert [len(seen) for seen in heads] == [expected] * count, combine


@pytest.mark.parametrize("combine", ["mean", "agreement"])
def test_candidates_side_by_side_share_what_the_teachers_say_of_images_without_labels(
    tiny: Build, batch: dict[str, Any], combine: str
) -> None:
    teachers = [confident(tiny("fcos", seed=1, width=32)), *(confident(tiny("retinanet", seed=seed)) for seed in (2, 3))]
    ensemble, shared, student = Ensemble(teachers, combine=combine), TeacherPass(), tiny("retinanet")
    alone = bare_losses_of(student, ensemble, batch)
    passes = [calls(teacher.get_submodule("backbone")) for teacher in teachers]
    for _ in range(2):
        detector = DistilledDetector(deepcopy(student), ensemble, ALL, Unlabelled(min_score=0.01), shared).train()
        torch.manual_seed(0)
        data = detector.data_preprocessor(deepcopy(batch), True)
        losses = detector(**data, mode="loss", unlabelled=beside(detector, batch, weight=1.0))
        for name in KINDS:
            assert torch.equal(losses[name], alone[name]), name
    assert [len(seen) for seen in passes] == [2, 2, 2]  # one on the labelled images


def taught_by_agreement(source: Source, out: Path, group: Group) -> int:
    """A training with two teachers of which one agrees with the labels of the odd images, and the other with those of the even ones."""
    config = config_of_an_fcos()
    teachers = [build_detector(make_config(width), seed=width) for width in (12, 16)]
    for place, teacher in enumerate(teachers):
        teacher.predict = partial(_by_half, teacher, place)
    settings = TrainSettings(epochs=2, batch_size=2, device="cpu")
    recipe, both = Recipe.parse("global: none > none > none | l2"), Ensemble(teachers, combine="agreement")
    return train(config, source, settings, out, teacher=both, recipe=recipe, start=Start(inherit=False), group=group).steps


def _by_half(teacher: Any, place: int, inputs: Tensor, samples: Any, rescale: bool = True) -> Any:
    teacher.extract_feat(inputs)
    for sample in samples:
        sample.pred_instances = detections(sample, 0.9 if sample.img_id % 2 == place else 0.1)
    return samples


def test_several_processes_share_one_agreement(tmp_path: Path) -> None:
    """Each has one image of a batch of two: with a share of its own it would be taught by one teacher alone."""
    source = make_source(tmp_path / "pictures")
    taught_by_agreement(source, tmp_path / "alone.pth", Group())
    assert run_in_processes(2, partial(taught_by_agreement, source, tmp_path / "shared.pth")) == 6
    assert_near(load_weights(tmp_path / "alone.pth"), load_weights(tmp_path / "shared.pth"), 1e-5)


def test_every_teacher_stays_as_it_is_and_only_what_aligns_them_is_trained(tiny: Build, batch: dict[str, Any]) -> None:
    student = tiny("retinanet")
    teachers = [tiny("fcos", seed=1, width=32), tiny("retinanet", seed=2, width=24)]
    before = [snapshot(teacher) for teacher in teachers]
    detector = DistilledDetector(student, Ensemble(teachers), FEATURES).train()
    losses = detector(**detector.data_preprocessor(batch, True), mode="loss")
    losses["loss_kd_global"].backward()
    assert detector.connectors.channels[0].weight.grad.abs().sum() > 0
    assert detector.others[0]["connectors"].channels[0].weight.grad.abs().sum() > 0
    beside = {name.partition(".")[0] for name in detector.state_dict()}
    assert beside == {"student", "connectors", "others", "_extra_state"} or beside == {"student", "connectors", "others"}
    assert len({id(parameter) for parameter in detector.parameters()}) == len(list(detector.parameters()))
    for teacher, known in zip(teachers, before, strict=True):
        assert unchanged(teacher, known)
        assert not any(module.training for module in teacher.modules())
        assert all(parameter.grad is None for parameter in teacher.parameters())


@pytest.mark.parametrize("combine", ["mean", "agreement"])
def test_candidates_side_by_side_share_the_passes_of_all_teachers(tiny: Build, batch: dict[str, Any], combine: str) -> None:
    teachers = [confident(tiny("fcos", seed=1, width=32)), confident(tiny("retinanet", seed=2))]
    ensemble, shared = Ensemble(teachers, combine=combine), TeacherPass()
    student = tiny("retinanet")
    alone = losses_of(student, ensemble, batch)
    passes = [calls(teacher.get_submodule("backbone")) for teacher in teachers]
    for _ in range(2):
        detector = DistilledDetector(deepcopy(student), ensemble, ALL, None, shared).train()
        torch.manual_seed(0)
        losses = detector(**detector.data_preprocessor(deepcopy(batch), True), mode="loss")
        for name in KINDS:
            assert torch.equal(losses[name], alone[name]), name
    assert [len(seen) for seen in passes] == [1, 1]


@pytest.mark.parametrize("combine", ["mean", "agreement"])
@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("recipe", ["mgd", "global: mask > none > norm_HW | l2 x 1"])
def test_a_resumed_training_is_the_same_training(tmp_path: Path, combine: str, recipe: str, bare: bool) -> None:
    source, config = make_source(tmp_path / "pictures"), make_config()
    teachers = [confident(build_detector(make_config(width), seed=width)) for width in (12, 16, 8)[: 2 + bare]]
    pictures, use = unlabelled_source(tmp_path / "bare") if bare else None, Unlabelled(min_score=0.01)
    losses = preset(recipe) if recipe == "mgd" else Recipe.parse(recipe)

    def training() -> Training:
        chosen = TrainSettings(epochs=2, batch_size=2, device="cpu")
        together = Ensemble(teachers, (1, 2, 3)[: len(teachers)], combine)
        distiller = DistilledDetector(build_detector(config, seed=0), together, losses, use if bare else None)
        others = pictures and UnlabelledSamples(config, pictures, use, batch_size=2, seed=chosen.seed)
        return Training(distiller, config, Samples(config, source, training=True, seed=chosen.seed), chosen, unlabelled=others)

    def stop(step: int, total: int, losses: Mapping[str, float]) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    straight, resumed = training(), training()
    first = {name: tensor.clone() for name, tensor in straight.distiller.state_dict().items()}
    assert straight.run() == 6
    with pytest.raises(Interrupted):
        training().run(checkpoint=tmp_path / "training.pth", progress=stop)
    assert resumed.run(checkpoint=tmp_path / "training.pth") == 2
    left, right = straight.distiller.state_dict(), resumed.distiller.state_dict()
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    if recipe == "mgd":
        assert any(name.startswith("others.0.trained.") and not torch.equal(left[name], first[name]) for name in left)


def test_what_one_of_them_cannot_share_is_refused_with_its_number(tiny: Build) -> None:
    student = tiny("retinanet")
    reasons = supported(student, Ensemble([tiny("retinanet"), tiny("retinanet", classes=("ring", "bar"))]))
    assert reasons[Knowledge.GLOBAL] is None
    assert reasons[Knowledge.LOGITS] == "teacher 2: the student distinguishes 3 classes, the teacher 2"
    with pytest.raises(ConfigError, match="cannot share logits knowledge"):
        DistilledDetector(student, Ensemble([tiny("retinanet"), tiny("retinanet", classes=("ring", "bar"))]), ALL)


def test_a_backbone_teaches_beside_a_detector(tiny: Build, batch: dict[str, Any]) -> None:
    student, backbone = tiny("retinanet"), build_detector(read_config("timm/test_convnext"), seed=3)
    teachers = [tiny("fcos", seed=1), backbone]
    each = [losses_of(student, teacher, batch, FEATURES) for teacher in teachers]
    both = losses_of(student, Ensemble(teachers), batch, FEATURES)
    torch.testing.assert_close(both["loss_kd_global"], (each[0]["loss_kd_global"] + each[1]["loss_kd_global"]) / 2)
    with pytest.raises(ConfigError, match="agreement compares detections with labels, and a backbone detects nothing"):
        Ensemble(teachers, combine="agreement")


def test_wrong_values_are_refused(tiny: Build) -> None:
    teachers = [tiny("retinanet"), tiny("retinanet")]
    for given in ([teachers[:1]], [teachers, (1.0,)], [teachers, (1.0, 0.0)], [teachers, None, "vote"]):
        with pytest.raises(ConfigError):
            Ensemble(*given)
