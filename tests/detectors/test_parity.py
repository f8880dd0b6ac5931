"""A student trained here without distillation is the one that mmdet's `tools/train.py` trains: same images, rates, losses, weights, AP."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from pictures import CLASSES, make_source
from small_families import FAMILIES, narrow
from stock import Steps, as_mmdet_users_write_it, dictionaries, train_stock
from torch import Tensor

from detkds.detectors import DistilledDetector, adapt, build_detector, load_config
from detkds.detectors.predict import detections
from detkds.detectors.training.batches import CocoByName, Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.schedule import build_schedulers
from detkds.evaluation.coco import evaluate
from detkds.genome import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
SEED, STEPS = 3, 12
"""Five images with objects, three lying and two upright, make three batches of at most two; YOLOX takes the one without objects too."""
PRETRAINED = ("faster-rcnn", "gfl", "deformable-detr")
"""Trained as their configs say for a pretrained backbone: first stages and statistics of batches frozen. The others learn both."""


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("data") / "train", 6, upright=True)


@pytest.fixture
def val(tmp_path: Path) -> Source:
    return make_source(tmp_path / "val", 5, seed=1, upright=True)


def mmdet_config(name: str) -> Config:
    """A family's own config, narrow, with all of its augmentations, hooks and groups of parameters; a warm-up over the first of four epochs
    and a tenth of the rate from the third on."""
    config = narrow(name)
    warm_up = {"type": "LinearLR", "start_factor": 0.2, "by_epoch": True, "begin": 0, "end": 1, "convert_to_iter_based": True}
    config.param_scheduler = [warm_up, *config.param_scheduler]
    config.val_evaluator.proposal_nums = (1, 10, 100)  # as COCO counts; mmdet's default takes AP50 and AP75 of up to 1000 per image
    test_cfg = config.model.test_cfg
    test_cfg.get("rcnn", test_cfg).score_thr = 0.0  # so early in training scores are low
    if name not in PRETRAINED:
        config.model.backbone.update(frozen_stages=-1, norm_eval=False)
    return config


def without_caches(config: Config) -> Config:
    """Caches of mosaic and mix-up depend on what came before, ours draw by place (docs/detectors.md): the Runner takes our data set."""
    for node in dictionaries(config._cfg_dict):
        if any(str(step.get("type")).startswith("Cached") for step in node.get("pipeline") or ()):
            node.type = CocoByName.__name__
    return config


def train_ours(config: Config, train: Source) -> tuple[Any, dict[str, Tensor], list[dict[str, Any]]]:
    """The student that we train, its first weights and its steps."""
    config = copy.deepcopy(config)
    config.custom_hooks = [*(config.get("custom_hooks") or []), {"type": Steps}]
    samples = Samples(config, train, training=True, seed=SEED)
    distiller = DistilledDetector(build_detector(config, seed=SEED), None, Recipe())
    settings = TrainSettings(epochs=config.train_cfg.max_epochs, batch_size=config.train_dataloader.batch_size, device="cpu", seed=SEED)
    training = Training(distiller, config, samples, settings)
    first = copy.deepcopy(training.student.state_dict())
    Steps.taken()
    training.run()
    return training.student, first, Steps.taken()


def with_truth_near(found: list[dict[str, Any]], val: Source) -> None:
    """Make every fifth detection an object of the annotation file, a little moved: so early in training the AP of real objects is 0."""
    content = json.loads(val.annotations.read_text())
    content["annotations"] = [
        {"id": number, "iscrowd": 0, "area": w * h, **box, "bbox": [x, y + h * (number % 4) / 10, w, h]}
        for number, box in enumerate(found[::5], 1)
        for x, y, w, h in [box["bbox"]]
        if min(w, h) > 0
    ]
    val.annotations.write_text(json.dumps(content))


def assert_same(stock: dict[str, Tensor], ours: dict[str, Tensor], tolerance: float) -> None:
    assert stock.keys() == ours.keys()
    for name, tensor in stock.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_student_is_that_of_mmdet(name: str, train: Source, val: Source, tmp_path: Path) -> None:
    given = mmdet_config(name)
    config = adapt(given, CLASSES, pretrained_backbone=name in PRETRAINED).config
    student, first, steps = train_ours(config, train)
    test = Samples(config, val, training=False)
    found = detections(student, test, batch_size=config.val_dataloader.batch_size, device="cpu")
    with_truth_near(found, val)
    stock = train_stock(without_caches(as_mmdet_users_write_it(given, CLASSES, train, val)), tmp_path / "stock", seed=SEED, validate=True)

    assert_same(stock.first, first, tolerance=0)
    assert len(steps) == len(stock.steps) == STEPS
    for ours, theirs in zip(steps, stock.steps, strict=True):
        assert (ours["place"], ours["shapes"], ours["groups"]) == (theirs["place"], theirs["shapes"], theirs["groups"])
        assert ours["rates"] == pytest.approx(theirs["rates"], rel=1e-9)
        assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-5)
    rates = [step["rates"][0] for step in steps]
    assert len(set(rates)) == 4  # three of the warm-up, the last of which is that of the second epoch, and one after the milestone
    assert_same(stock.saved, student.state_dict(), tolerance=1e-6)
    assert ("EMAHook" in str(config.get("custom_hooks"))) == any(not torch.equal(stock.last[key], stock.saved[key]) for key in stock.last)

    assert len(found) == len(stock.found) > 0
    for ours, theirs in zip(found, stock.found, strict=True):
        assert (ours["image_id"], ours["category_id"]) == (theirs["image_id"], theirs["category_id"])
        assert [ours["score"], *ours["bbox"]] == pytest.approx([theirs["score"], *theirs["bbox"]], rel=1e-4, abs=1e-3)
    figures = evaluate(val.annotations, found).figures
    assert 0.02 < figures["AP"] < 0.98
    for name_ours, name_theirs in {"AP": "mAP", "AP50": "mAP_50", "AP75": "mAP_75"}.items():
        assert figures[name_ours] == pytest.approx(stock.metrics[f"val/coco/bbox_{name_theirs}"], abs=1e-3)


def plain_optimizer() -> OptimWrapper:
    return OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01))


@pytest.mark.parametrize(("name", "epoch"), [("retinanet", 42), ("fcos", 42), ("rtmdet-tiny", 4), ("yolox-nano", 2)])
def test_a_schedule_of_mmdet_gives_its_rate_at_every_step(name: str, epoch: int) -> None:
    """In all of its epochs, each of `epoch` steps. Warm-ups in iterations are a tenth as long, so that they are at most a tenth of the
    training, as they are with us (docs/detectors.md)."""
    config, wrapper = load_config(FAMILIES[name], trust=False), plain_optimizer()
    epochs, ours = config.train_cfg.max_epochs, plain_optimizer()
    for options in config.param_scheduler:
        if not options.get("by_epoch", True):
            options.end //= 10
    schedulers = build_schedulers(config, ours, steps=epochs * epoch)
    runner: Any = SimpleNamespace(train_dataloader=range(epoch), _train_loop=None, train_loop=None)
    runner.param_schedulers = Runner._build_param_scheduler(runner, config.param_scheduler, wrapper)
    rates = []
    for step in range(epochs * epoch):
        rates.append((ours.param_groups[0]["lr"], wrapper.param_groups[0]["lr"]))
        ours.step()
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
        ParamSchedulerHook().after_train_iter(runner, step % epoch)
        if (step + 1) % epoch == 0:
            ParamSchedulerHook().after_train_epoch(runner)
    assert [here for here, _ in rates] == pytest.approx([there for _, there in rates], rel=1e-6)
    assert len({round(there, 9) for _, there in rates}) > 3
