"""Training with images without labels: the distillation losses alone, the teacher's detections as objects, labelled images as ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from mask_pictures import make_mask_config, make_mask_source
from pictures import CATEGORIES, make_config, make_source
from test_distiller import ALL, KINDS, PAIRS, calls, confident, snapshot, unchanged
from test_parallel import config_of_an_fcos
from torch import Tensor, nn

from detkds.data.unlabelled import Unlabelled, document
from detkds.detectors import DistilledDetector, build_detector, load_weights
from detkds.detectors.detected import looked_at
from detkds.detectors.normalization import TeacherView
from detkds.detectors.objective import ProxyObjective
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.local_processes import run_in_processes
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.parallel import Group
from detkds.detectors.training.train import Start, train
from detkds.detectors.training.unlabelled import UnlabelledSamples
from detkds.errors import Interrupted
from detkds.genome import Recipe
from detkds.objective import Goal

GLOBAL = Recipe.parse("global: none > none > none | l2 x 2")
BOTH = Recipe.parse("global: none > none > none | l2 x 2\nfgbg: none > none > norm_C | l1 x 2")


def unlabelled_source(folder: Path, count: int = 7) -> Source:
    """Pictures of which no file says what is on them."""
    pictures = make_source(folder, count, seed=5)
    pictures.annotations.unlink()
    names = sorted(path.name for path in folder.glob("*.png"))
    file = folder / "unlabelled.json"
    file.write_text(json.dumps(document(folder, names, CATEGORIES)))
    return Source(file, folder)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("labelled") / "train")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return unlabelled_source(tmp_path_factory.mktemp("bare") / "pictures")


@pytest.fixture(scope="module")
def teacher() -> nn.Module:
    return confident(build_detector(make_config(12), seed=9))


def training(
    labelled: Source,
    bare: Source | None,
    teacher: nn.Module,
    recipe: Recipe = BOTH,
    use: Unlabelled = Unlabelled(),  # noqa: B008 - frozen
    config: Any = None,
    **changes: Any,
) -> Training:
    chosen = TrainSettings(**{"epochs": 2, "batch_size": 2, "device": "cpu", **changes})
    config = config or make_config()
    beside = bare and UnlabelledSamples(config, bare, use, batch_size=chosen.batch_size, seed=chosen.seed)
    distiller = DistilledDetector(build_detector(config, seed=0), teacher, recipe, use)
    return Training(distiller, config, Samples(config, labelled, training=True, seed=chosen.seed), chosen, unlabelled=beside or None)


def weights(trained: Training) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trained.distiller.state_dict().items()}


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def beside(detector: Any, batch: Any, weight: float = 0.5) -> dict[str, Any]:
    """The same images once more, as a batch without labels."""
    bare = deepcopy(batch)
    for sample in bare["data_samples"]:
        sample.gt_instances = sample.gt_instances[:0]
    return {**detector.data_preprocessor(bare, True), "weight": weight}


@pytest.mark.parametrize(("student", "teacher"), PAIRS)
def test_every_knowledge_reaches_the_student_from_images_without_labels(
    tiny: Callable[..., nn.Module], batch: dict[str, Any], student: str, teacher: str
) -> None:
    ours, theirs = tiny(student), confident(tiny(teacher, seed=1, width=32))
    before = snapshot(theirs)
    detector = DistilledDetector(ours, theirs, ALL, Unlabelled(min_score=0.01)).train()
    losses = detector(**detector.data_preprocessor(batch, True), mode="loss", unlabelled=beside(detector, batch, weight=1.0))
    for name in KINDS:  # at weight 1 all of it is from the images without labels
        assert losses[name].isfinite(), name
        assert losses[name] > 0, name
        (gradient,) = torch.autograd.grad(losses[name], ours.backbone.conv1.weight, retain_graph=True)
        assert gradient.isfinite().all(), name
        assert gradient.abs().sum() > 0, name
    assert unchanged(theirs, before)


@pytest.mark.parametrize("name", ["retinanet", "faster_rcnn"])
def test_the_students_own_losses_and_batch_statistics_are_those_of_the_labelled_images(
    tiny: Callable[..., nn.Module], batch: dict[str, Any], make_batch: Callable[..., dict[str, Any]], name: str
) -> None:
    student = tiny(name)
    plain = deepcopy(student)
    detector = DistilledDetector(student, confident(tiny(name, seed=1, width=32)), ALL)
    data, other = detector.data_preprocessor(batch, True), beside(detector, make_batch(size=64, count=3))
    torch.manual_seed(7)
    expected, _ = plain.parse_losses(plain(**deepcopy(data), mode="loss"))
    torch.manual_seed(7)
    losses = detector(**data, mode="loss", unlabelled=other)
    found, _ = detector.parse_losses({kind: value for kind, value in losses.items() if kind not in KINDS})
    assert torch.equal(found, expected)
    assert unchanged(student, snapshot(plain))  # running means and variances among them


def test_a_loss_is_the_weighted_mean_of_its_values_on_both_batches(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    detector = DistilledDetector(tiny("retinanet"), tiny("retinanet", seed=1, width=32), GLOBAL)
    data = detector.data_preprocessor(batch, True)
    dimmed = deepcopy(batch)
    dimmed["inputs"] = [image // 4 for image in dimmed["inputs"]]
    other = beside(detector, dimmed)
    alone = detector(**data, mode="loss")["loss_kd_global"]
    values = {
        weight: detector(**data, mode="loss", unlabelled={**other, "weight": weight})["loss_kd_global"] for weight in (0.0, 0.25, 1.0)
    }
    assert torch.equal(values[0.0], alone)
    assert not torch.isclose(values[1.0], alone)
    torch.testing.assert_close(values[0.25], 0.75 * alone + 0.25 * values[1.0])


def test_a_knowledge_that_does_not_use_them_keeps_its_whole_weight(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    use = Unlabelled(knowledge="logits")
    detector = DistilledDetector(tiny("retinanet"), confident(tiny("retinanet", seed=1)), ALL, use)
    data = detector.data_preprocessor(batch, True)
    alone = detector(**deepcopy(data), mode="loss")
    detector.step = 0
    dimmed = {**batch, "inputs": [image // 4 for image in batch["inputs"]]}
    together = detector(**data, mode="loss", unlabelled=beside(detector, dimmed))
    moved = {name for name in KINDS if not torch.equal(alone[name], together[name])}
    assert moved == {"loss_kd_logits"}


def test_a_loss_on_labelled_images_alone_keeps_its_whole_weight(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    dimmed = {**batch, "inputs": [image // 4 for image in batch["inputs"]]}
    losses = []
    for recipe in (BOTH, Recipe(tuple(genome.with_labelled(genome.knowledge == "fgbg") for genome in BOTH.genomes))):
        for other in (batch, dimmed):
            detector = DistilledDetector(tiny("retinanet"), confident(tiny("retinanet", seed=1)), recipe, Unlabelled(min_score=0.01))
            losses.append(detector(**detector.data_preprocessor(batch, True), mode="loss", unlabelled=beside(detector, other)))
    for name, moved in (("loss_kd_global", (True, True)), ("loss_kd_fgbg", (True, False))):
        assert (not torch.equal(losses[0][name], losses[1][name]), not torch.equal(losses[2][name], losses[3][name])) == moved


def test_a_search_that_chooses_tells_candidates_apart_by_it(labelled: Source, bare: Source, teacher: nn.Module) -> None:
    chosen = TrainSettings(epochs=1, batch_size=2, device="cpu")
    build = partial(ProxyObjective, make_config(), teacher, labelled, labelled, chosen, start=Start(inherit=False))
    with_them, without = build(unlabelled=(bare, Unlabelled())), build()
    both, alone = GLOBAL, Recipe(tuple(genome.with_labelled(True) for genome in GLOBAL.genomes))
    assert with_them.identify(both) != with_them.identify(alone)
    assert without.identify(both) == without.identify(alone)  # there it changes nothing
    scores = [with_them(recipe, Goal()).details["loss"] for recipe in (both, alone)]
    assert scores[0] != scores[1]
    assert scores[1] == without(both, Goal()).details["loss"]


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_objects_are_the_teachers_detections_from_the_stated_score_on(
    tiny: Callable[..., nn.Module], batch: dict[str, Any], scale: float
) -> None:
    student, theirs = tiny("retinanet"), confident(tiny("retinanet", seed=1)).eval()
    theirs.data_preprocessor.shown_scale = scale
    data = student.data_preprocessor(batch, True)
    view = TeacherView(student.data_preprocessor, theirs.data_preprocessor)

    def look(min_score: float) -> list[Any]:
        neck = calls(theirs.neck)
        levels, samples = looked_at(theirs, view, data["inputs"], data["data_samples"], boxes=True, min_score=min_score, masks=False)
        assert len(neck) == 1
        assert levels[0].shape[-1] == scale * data["inputs"].shape[-1] // 8
        return samples

    every = theirs.predict(view(data["inputs"], data["data_samples"]), deepcopy(data["data_samples"]), rescale=False)
    scores = torch.cat([result.pred_instances.scores for result in every])
    middle = float(scores.median())
    all_of_them, sure = look(0.0), look(middle)
    counted = [sum(len(sample.gt_instances) for sample in samples) for samples in (all_of_them, sure)]
    if scale == 1:
        assert 0 < counted[1] < counted[0]
        assert counted == [len(scores), int((scores >= middle).sum())]
        assert torch.equal(all_of_them[0].gt_instances.bboxes, every[0].pred_instances.bboxes)
    assert all(float(sample.gt_instances.bboxes.max()) <= max(data["inputs"].shape[-2:]) for sample in all_of_them)
    assert len(data["data_samples"][0].gt_instances) == 2  # the samples themselves stay as they were
    assert "pred_instances" not in data["data_samples"][0]


def test_where_no_loss_reads_a_head_the_step_ends_at_both_necks(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    student, theirs = tiny("retinanet"), tiny("retinanet", seed=1)
    detector = DistilledDetector(student, theirs, GLOBAL)
    data = detector.data_preprocessor(batch, True)
    heads = [calls(side.bbox_head) for side in (student, theirs)]
    necks = [calls(side.neck) for side in (student, theirs)]
    detector(**data, mode="loss", unlabelled=beside(detector, batch))
    assert [len(seen) for seen in heads] == [1, 0]  # the student's on the labelled images
    assert [len(seen) for seen in necks] == [2, 2]


def test_without_a_detection_every_loss_is_finite(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    for name in ("retinanet", "faster_rcnn"):
        detector = DistilledDetector(tiny(name), tiny(name, seed=1), ALL, Unlabelled(min_score=1.0)).train()
        losses = detector(**detector.data_preprocessor(batch, True), mode="loss", unlabelled=beside(detector, batch, weight=1.0))
        assert all(losses[kind].isfinite() for kind in KINDS)
        assert losses["loss_kd_fgbg"].item() == losses["loss_kd_instance"].item() == 0.0


def test_a_step_sees_the_same_images_wherever_the_training_begins_and_a_pass_sees_each_once(bare: Source) -> None:
    samples = UnlabelledSamples(make_config(), bare, Unlabelled(), batch_size=2, seed=3)
    keys = list(samples.keys(0, 9))
    assert [len(batch) for batch in keys] == [2] * 9
    assert list(samples.keys(4, 9)) == keys[4:]
    for first in (0, 3, 6):  # 7 images: three full batches a pass
        seen = [index for batch in keys[first : first + 3] for _, index in batch]
        assert len(set(seen)) == 6
    assert keys[:3] != keys[3:6]
    few = UnlabelledSamples(make_config(), bare, Unlabelled(0.9), batch_size=4, seed=3)
    assert (few.per_step, [len(batch) for batch in few.keys(0, 3)]) == (7, [7, 7, 7])  # no more than there are


def test_the_labelled_images_of_a_training_are_the_same_with_and_without_them(labelled: Source, bare: Source, teacher: nn.Module) -> None:
    seen: list[list[Tensor]] = []
    for unlabelled in (None, bare):
        run = training(labelled, unlabelled, teacher)
        images: list[Tensor] = []
        forward = run.student.forward

        def noted(inputs: Tensor, *rest: Any, _to: list[Tensor] = images, _go: Any = forward, **how: Any) -> Any:
            _to.append(inputs.clone())
            return _go(inputs, *rest, **how)

        run.student.forward = noted
        run.run()
        seen.append(images)
    assert len(seen[0]) == 6
    first_passes = [image for image in seen[1] if any(image.shape == other.shape and torch.equal(image, other) for other in seen[0])]
    assert len(first_passes) >= 6


def test_images_without_labels_change_the_student_and_the_same_training_repeats_it(
    labelled: Source, bare: Source, teacher: nn.Module
) -> None:
    with_them, again, without = (training(labelled, source, teacher) for source in (bare, bare, None))
    for run in (with_them, again, without):
        run.run()
    assert same(weights(with_them), weights(again))
    assert not same(weights(with_them), weights(without))


def test_a_training_without_distillation_does_without_them(labelled: Source, bare: Source, teacher: nn.Module) -> None:
    for recipe, use in ((Recipe(), Unlabelled()), (GLOBAL, Unlabelled(knowledge="logits"))):
        with_them, without = training(labelled, bare, teacher, recipe, use), training(labelled, None, teacher, recipe)
        with_them.run()
        without.run()
        assert with_them.unlabelled is None
        assert same(weights(with_them), weights(without))


@pytest.mark.parametrize("workers", [1, 3])
def test_worker_processes_give_the_same_student(labelled: Source, bare: Source, teacher: nn.Module, workers: int) -> None:
    alone, ahead = training(labelled, bare, teacher, workers=0), training(labelled, bare, teacher, workers=workers)
    alone.run()
    ahead.run()
    assert same(weights(alone), weights(ahead))


@pytest.mark.parametrize("schedule", ["constant", "ramp"])
def test_a_training_that_was_stopped_goes_on_to_the_same_student(
    labelled: Source, bare: Source, teacher: nn.Module, tmp_path: Path, schedule: str
) -> None:
    use = Unlabelled(0.6, schedule)
    whole = training(labelled, bare, teacher, use=use)
    whole.run()
    file = tmp_path / "training.pth"
    for stop_at in (1, 4):
        run = training(labelled, bare, teacher, use=use)

        def stop(step: int, steps: int, losses: Mapping[str, float], at: int = stop_at) -> None:
            if step == at:
                import os
                import signal

                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Interrupted):
            run.run(checkpoint=file, progress=stop)
    last = training(labelled, bare, teacher, use=use)
    last.run(checkpoint=file)
    assert same(weights(last), weights(whole))


def test_a_checkpoint_of_another_use_is_refused(labelled: Source, bare: Source, teacher: nn.Module, tmp_path: Path) -> None:
    from detkds.errors import ArtifactError

    training(labelled, bare, teacher).run(checkpoint=tmp_path / "training.pth")
    with pytest.raises(ArtifactError, match="belongs to another training: unlabelled"):
        training(labelled, bare, teacher, use=Unlabelled(0.6)).run(checkpoint=tmp_path / "training.pth")


def test_a_student_of_masks_takes_them(tmp_path: Path) -> None:
    labelled, config = make_mask_source(tmp_path / "masks"), make_mask_config()
    bare = unlabelled_source(tmp_path / "bare")
    run = training(labelled, bare, confident(build_detector(config, seed=3)), ALL, Unlabelled(min_score=0.01), config=config, epochs=1)
    seen: list[float] = []
    run.run(progress=lambda step, steps, losses: seen.append(losses["loss"]))
    assert seen
    assert all(value == value for value in seen)


def test_steps_that_leave_out_images_without_objects_keep_these(bare: Source, labelled: Source) -> None:
    config = make_config()
    pipeline = config.train_dataloader.dataset.pipeline
    pipeline.insert(3, {"type": "RandomCrop", "crop_size": (32, 32)})
    pipeline.insert(4, {"type": "FilterAnnotations", "min_gt_bbox_wh": (1, 1)})
    samples = Samples(config, bare, training=True, labelled=False)
    assert (len(samples), samples.kept.images) == (7, 7)
    assert all(samples[0, index]["inputs"].shape[-2:] == (32, 32) for index in range(7))
    assert len(Samples(config, labelled, training=True)) == 5  # of labelled images filter_cfg leaves one out


def test_a_switch_of_the_pipeline_is_followed(labelled: Source, bare: Source, teacher: nn.Module) -> None:
    config = make_config()
    small = [step if step["type"] != "Resize" else {**step, "scale": (128, 128)} for step in config.train_dataloader.dataset.pipeline]
    config.custom_hooks = [{"type": "PipelineSwitchHook", "switch_epoch": 6, "switch_pipeline": small}]
    run = training(labelled, bare, teacher, GLOBAL, config=config)
    sizes: list[int] = []
    extract = run.student.extract_feat
    run.student.extract_feat = lambda inputs: (sizes.append(max(inputs.shape[-2:])), extract(inputs))[1]
    run.run()
    assert sizes[:6] == [64] * 6  # labelled and unlabelled by turns
    assert sizes[6:] == [128] * 6


def share_of_a_group(labelled: Source, bare: Source, out: Path, group: Group) -> int:
    config, settings = config_of_an_fcos(), TrainSettings(epochs=2, batch_size=2, device="cpu")
    use, teacher = Unlabelled(2 / 3), build_detector(make_config(12), seed=9)
    return train(config, labelled, settings, out, teacher=teacher, recipe=GLOBAL, group=group, unlabelled=(bare, use)).steps


def test_two_processes_train_the_same_student_as_one(labelled: Source, bare: Source, tmp_path: Path) -> None:
    assert share_of_a_group(labelled, bare, tmp_path / "one.pth", Group()) == 6
    assert run_in_processes(2, partial(share_of_a_group, labelled, bare, tmp_path / "two.pth")) == 6
    one, two = (load_weights(tmp_path / name) for name in ("one.pth", "two.pth"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_a_candidate_of_the_search_is_another_trial_with_them(labelled: Source, bare: Source, teacher: nn.Module) -> None:
    from detkds.detectors.objective import ProxyObjective
    from detkds.objective import Goal, Outcome

    settings = TrainSettings(epochs=1, batch_size=2, device="cpu")
    build = partial(ProxyObjective, make_config(), teacher, labelled, labelled, settings)
    without, with_them = build(), build(unlabelled=(bare, Unlabelled()))
    assert "unlabelled" not in without.identity
    assert without.identify(GLOBAL) != with_them.identify(GLOBAL)
    assert with_them(GLOBAL, Goal()) == with_them(GLOBAL, Goal())
    assert with_them(GLOBAL, Goal()).details["loss"] != without(GLOBAL, Goal()).details["loss"]
    none = [replace(one(Recipe(), Goal()), details={}) for one in (without, with_them)]
    assert none[0] == none[1]
    jobs = [(recipe, Goal()) for recipe in (Recipe(), GLOBAL)]
    for found, (recipe, goal) in zip(with_them.together(jobs), jobs, strict=True):  # side by side, the first without a use for them
        alone = with_them(recipe, goal)
        assert isinstance(found, Outcome)
        assert (found.score, found.details) == (alone.score, alone.details)
