"""Whatever a config asks of training happens, or is refused by name with what to write instead."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from pictures import CLASSES, make_config, make_source
from stock import as_mmdet_users_write_it, train_stock

from detkds.detectors import DistilledDetector, build_detector, load_config
from detkds.detectors.training.asked import refusals
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.order import Order
from detkds.detectors.training.schedule import build_optimizer
from detkds.errors import ConfigError
from detkds.genome import Recipe
from detkds.pairs import PAIRS


@HOOKS.register_module()
class Counting(Hook):
    """Somebody's own hook: it counts the moments it is called at."""

    seen: dict[str, list[tuple[int, int]]]

    def before_train(self, runner: Any) -> None:
        type(self).seen = {}

    def _note(self, moment: str, runner: Any) -> None:
        self.seen.setdefault(moment, []).append((runner.epoch, runner.iter))

    def before_train_epoch(self, runner: Any) -> None:
        self._note("before_train_epoch", runner)

    def after_train_epoch(self, runner: Any) -> None:
        self._note("after_train_epoch", runner)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        assert float(outputs["loss"]) > 0
        self._note("after_train_iter", runner)


@HOOKS.register_module()
class Watching(Hook):
    """Somebody's own hook: it waits for a validation."""

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        raise AssertionError


@HOOKS.register_module()
class Reaching(Hook):
    """Somebody's own hook: it wants more of the runner than a training here has."""

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        runner.visualizer.add_scalar("loss", outputs["loss"])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("data") / "train")


def training(config: Config, source: Source, **changes: Any) -> Training:
    settings = TrainSettings(**{"epochs": 2, "batch_size": 2, "device": "cpu", **changes})
    student = DistilledDetector(build_detector(config, seed=0), None, Recipe())
    return Training(student, config, Samples(config, source, training=True), settings)


@pytest.mark.parametrize("config", sorted({side.config for pair in PAIRS for side in (pair.student, pair.teacher)}))
def test_nothing_of_the_tested_pairs_is_refused(config: str) -> None:
    assert refusals(load_config(config, trust=False)) == []


@pytest.mark.parametrize(
    ("part", "value", "line"),
    [
        ("custom_hooks", [{"type": "EarlyStoppingHook"}], "EarlyStoppingHook cannot run here: no validation takes place"),
        ("custom_hooks", [{"type": "MeanTeacherHook"}], "train the detector itself, with EMAHook"),
        ("custom_hooks", [{"type": "Watching"}], "Watching cannot run here: it acts on validations"),
        ("custom_hooks", [{"type": "Reaching"}], "it uses visualizer of the runner, which this training does not have"),
        ("custom_hooks", [{"type": "NoSuchHook"}], "no hook of this name is registered"),
        ("train_cfg", {"type": "TeacherLoop", "max_epochs": 2}, "use EpochBasedTrainLoop"),
        ("optim_wrapper", {"type": "ApexOptimWrapper"}, "use OptimWrapper, or AmpOptimWrapper"),
        ("train_dataloader.sampler", {"type": "ClassAwareSampler"}, "train_dataloader.sampler: ClassAwareSampler"),
        ("train_dataloader.batch_sampler", {"type": "TrackAspectRatioBatchSampler"}, "use AspectRatioBatchSampler"),
        ("train_dataloader.dataset", {"type": "ConcatDataset", "datasets": []}, "merge the annotation files into one"),
        ("train_dataloader.num_batch_per_epoch", 5, "an epoch is one pass over the images"),
        ("param_scheduler", [{"type": "ReduceOnPlateauLR"}], "use MultiStepLR"),
        ("activation_checkpointing", ["backbone"], "smaller train.batch_size"),
        ("runner_type", "FlexibleRunner", "leave it out"),
    ],
)
def test_what_does_not_happen_is_refused_by_name(part: str, value: Any, line: str) -> None:
    config = make_config()
    config.merge_from_dict({part: value}) if not isinstance(value, list) else setattr(config, part, value)
    if part == "train_dataloader.dataset":
        config.train_dataloader.dataset = value
    (refusal,) = refusals(config)
    assert line in refusal
    assert "\n" not in refusal


def test_a_training_refuses_before_its_first_step(source: Source) -> None:
    config = make_config()
    config.custom_hooks = [{"type": "EarlyStoppingHook"}]
    with pytest.raises(ConfigError, match="EarlyStoppingHook"):
        training(config, source)


def test_a_hook_is_called_as_by_mmengine_in_epochs_of_the_config(source: Source) -> None:
    config = make_config()
    config.custom_hooks = [{"type": "Counting"}]
    training(config, source).run()
    # 6 steps over the config's 12 epochs: each step is two of them, and iterations are steps.
    moments = [(0, 0), (2, 1), (4, 2), (6, 3), (8, 4), (10, 5)]
    assert Counting.seen == {"before_train_epoch": moments, "after_train_iter": moments, "after_train_epoch": moments}


def ambitious() -> Config:
    """Moving average, accumulated gradients, one parameter without decay and a frozen stage."""
    config = make_config()
    config.model.backbone.update(frozen_stages=1)
    config.custom_hooks = [{"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": 0.1, "gamma": 5, "update_buffers": True}]
    config.optim_wrapper.update(accumulative_counts=2, paramwise_cfg={"norm_decay_mult": 0.0, "custom_keys": {"neck": {"lr_mult": 0.1}}})
    config.train_cfg.max_epochs = 3
    config.param_scheduler = []
    return config


def test_average_accumulation_freezing_and_paramwise_options_are_those_of_mmengine(source: Source, tmp_path: Path) -> None:
    config = ambitious()
    run = training(config, source, epochs=3)
    first = {name: tensor.clone() for name, tensor in run.student.state_dict().items()}
    run.run()
    expected = train_stock(as_mmdet_users_write_it(config, CLASSES, source), tmp_path / "stock", seed=0).saved
    ours = run.student.state_dict()
    assert max(float((ours[name] - expected[name]).abs().max()) for name in expected) < 1e-6
    assert torch.equal(ours["backbone.conv1.weight"], first["backbone.conv1.weight"])
    assert not torch.equal(ours["bbox_head.retina_cls.weight"], first["bbox_head.retina_cls.weight"])


def test_average_and_accumulated_gradients_survive_an_interruption(source: Source, tmp_path: Path) -> None:
    config, path = ambitious(), tmp_path / "training.pth"
    straight = training(config, source, epochs=3)
    straight.run()

    with pytest.raises(KeyboardInterrupt):
        training(config, source, epochs=3, checkpoint_every=1).run(checkpoint=path, progress=_after(5))
    assert torch.load(path, weights_only=True)["step"] == 4
    with pytest.raises(KeyboardInterrupt):
        training(config, source, epochs=3, checkpoint_every=5).run(checkpoint=tmp_path / "odd.pth", progress=_after(6))
    for file in (path, tmp_path / "odd.pth"):
        resumed = training(config, source, epochs=3)
        assert resumed.run(checkpoint=file) in (4, 5)
        ours, other = resumed.student.state_dict(), straight.student.state_dict()
        assert [name for name in other if not torch.equal(ours[name], other[name])] == []


def _after(last: int) -> Any:
    def stop(step: int, steps: int, losses: Mapping[str, float]) -> None:
        if step == last:
            raise KeyboardInterrupt

    return stop


def test_the_rate_follows_the_batch_where_the_config_asks_for_it() -> None:
    config = make_config()
    config.auto_scale_lr = {"enable": True, "base_batch_size": 16}

    def rate(**options: Any) -> float:
        wrapper = build_optimizer(config, build_detector(config, seed=0), batch_size=4, **options)
        return float(wrapper.optimizer.param_groups[0]["lr"])

    assert rate() == pytest.approx(0.003 * 4 / 16)
    assert rate(learning_rate=0.01) == pytest.approx(0.01)  # a rate that somebody named is not scaled
    config.auto_scale_lr.enable = False
    assert rate() == pytest.approx(0.003)


def test_mixed_precision_of_a_config_needs_a_gpu_and_is_left_out_on_the_cpu() -> None:
    config = make_config()
    config.optim_wrapper.update(type="AmpOptimWrapper", dtype="bfloat16", loss_scale="dynamic")
    assert type(build_optimizer(config, build_detector(config, seed=0))).__name__ == "OptimWrapper"


def test_an_order_as_the_loader_says() -> None:
    upright = [False, True, False, True, False, True, False]
    assert sorted(chain(*Order().batches(upright, 2, 1))) == list(range(7))
    assert Order().batches(upright, 2, 1) != Order().batches(upright, 2, 2)
    assert Order(shuffled=False).batches(upright, 3, 1) == [[0, 1, 2], [3, 4, 5], [6]]
    assert Order(shuffled=False, drop_last=True).batches(upright, 3, 1) == [[0, 1, 2], [3, 4, 5]]
    # As in mmdet, what is left over of upright and lying images comes last, together.
    assert Order(shuffled=False, grouped=True).batches(upright, 2, 1) == [[0, 2], [1, 3], [4, 6], [5]]
    config = copy.deepcopy(load_config("retinanet/retinanet_r50_fpn_1x_coco", trust=False))
    assert Order.of(config) == Order(shuffled=True, grouped=True, drop_last=False)
