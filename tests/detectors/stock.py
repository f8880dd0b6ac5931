"""mmdet's own training, `tools/train.py` with mmengine's Runner, to hold ours against: all parts are theirs, and only the draws are ours.

A mmdet user writes class count, paths and seed into a config and starts the Runner. So does `as_mmdet_users_write_it`; nothing of detkds
touches that config. The Runner builds, initialises, loads, steps, averages, saves and validates by itself. One hook replaces the seeds of
its generators by those of `detkds.detectors.training.randomness` at each epoch, image and step: two streams of numbers compare badly.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from detkds.detectors.silence import silence
from detkds.detectors.training.batches import Source
from detkds.detectors.training.randomness import Purpose, derived_seed, preserved, seed_all


class Steps(Hook):
    """What each step of a training was: its place in the epoch, the images' shapes, groups of parameters with their rates, losses.

    It stands in the config of both trainings.
    """

    priority = "VERY_LOW"
    seen: list[dict[str, Any]] = []  # noqa: RUF012  # a hook is built anew from a config: its class is where it can be read

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        groups = runner.optim_wrapper.param_groups
        self.seen.append(
            {
                "place": batch_idx,
                "shapes": [tuple(image.shape) for image in data_batch["inputs"]],
                "groups": [(group["weight_decay"], [tuple(weight.shape) for weight in group["params"]]) for group in groups],
                "rates": [group["lr"] for group in groups],
            }
        )

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.seen[-1]["losses"] = {name: float(value) for name, value in outputs.items()}

    @classmethod
    def taken(cls) -> list[dict[str, Any]]:
        """The steps since the last call."""
        seen, cls.seen = cls.seen, []
        return seen


class SameDraws(Hook):
    """Seeds whatever the Runner draws by its place, as our loop does, and keeps the first weights that it drew by itself."""

    priority = "VERY_LOW"  # after mmengine's own DistSamplerSeedHook

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.first: dict[str, Tensor] = {}

    def before_train(self, runner: Any) -> None:
        self.first = copy.deepcopy(runner.model.state_dict())
        dataset, seed = runner.train_dataloader.dataset, self.seed
        kind = type(dataset)

        def item(images: Any, index: int) -> Any:
            with preserved():
                seed_all(derived_seed(seed, Purpose.AUGMENTATION, runner.epoch, index))
                return kind.__getitem__(images, index)

        dataset.__class__ = type(kind.__name__, (kind,), {"__getitem__": item})

    def before_train_epoch(self, runner: Any) -> None:
        loader = runner.train_dataloader
        sampler = loader.sampler if hasattr(loader.sampler, "epoch") else loader.batch_sampler.sampler  # as mmengine's DistSamplerSeedHook
        sampler.seed = derived_seed(self.seed, Purpose.ORDER, runner.epoch) - sampler.epoch  # it seeds by the sum of the two

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        seed_all(derived_seed(self.seed, Purpose.STEP, runner.iter))


@dataclass(frozen=True)
class Stock:
    """A training by the Runner: its steps, weights before the first, weights at its end, weights in the file that it saved; and of the
    validation that follows, the metrics and the detections (COCO results). Without validation these are empty."""

    steps: list[dict[str, Any]]
    first: dict[str, Tensor]
    last: dict[str, Tensor]
    saved: dict[str, Tensor]
    metrics: dict[str, float]
    found: list[dict[str, Any]]


def as_mmdet_users_write_it(config: Config, classes: Sequence[str], train: Source, val: Source | None = None) -> Config:
    """A config of mmdet's for a data set, without downloads; see the guide "Train with customized datasets" of mmdet's docs.

    Args:
        config: not changed.
        classes: in the order of the annotations' categories.
        train, val: their annotation files and folders.
    """
    config = copy.deepcopy(config)
    config.setdefault("default_scope", "mmdet")
    for node in dictionaries(config._cfg_dict):
        if (node.get("init_cfg") or {}).get("type") == "Pretrained":
            node.init_cfg = None
    for name, head in config.model.items():
        for node in dictionaries(head) if name in ("bbox_head", "roi_head") else ():
            if "num_classes" in node:
                node.num_classes = len(classes)
    for loader, source in (("train_dataloader", train), ("val_dataloader", val), ("test_dataloader", val)):
        if source is None:
            continue
        dataset = config[loader].dataset
        while "dataset" in dataset:
            dataset = dataset.dataset
        prefix, paths = {"img": str(source.images)}, {"data_root": None, "ann_file": str(source.annotations)}
        dataset.update(**paths, data_prefix=prefix, metainfo={"classes": tuple(classes)})
        config[loader].update(num_workers=0, persistent_workers=False)
        config[loader].setdefault("sampler", {"type": "DefaultSampler", "shuffle": loader == "train_dataloader"})
    if val is not None:
        config.val_evaluator.ann_file = str(val.annotations)
    return config


def dictionaries(node: Any) -> list[Any]:
    """Every dictionary inside, in place."""
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    return [*([node] if isinstance(node, dict) else []), *(found for value in inner for found in dictionaries(value))]


def train_stock(config: Config, work: Path, *, seed: int, validate: bool = False) -> Stock:
    """What `tools/train.py` does with a config, at the draws of our training with this seed.

    Args:
        config: as a mmdet user writes it; not changed.
        work: an empty folder.
        seed: the Runner's own, of the first weights, and ours.
        validate: run the config's validation after the last epoch, as the Runner does by itself; else never.
    """
    config, epochs = copy.deepcopy(config), config.train_cfg.max_epochs
    draws = SameDraws(seed)
    config.custom_hooks = [*(config.get("custom_hooks") or []), {"type": Steps}]
    config.update(work_dir=str(work), randomness={"seed": seed}, log_level="ERROR", experiment_name=f"stock-{id(draws)}")
    quiet = {"logger": {"type": "LoggerHook", "interval": 10**9}, "checkpoint": {"type": "CheckpointHook", "interval": epochs}}
    config.default_hooks = {**(config.get("default_hooks") or {}), **quiet}
    config.train_cfg = {"type": "EpochBasedTrainLoop", "max_epochs": epochs, "val_interval": epochs}
    if validate:
        config.val_evaluator.update(outfile_prefix=str(work / "found"))
    else:
        config.update(val_dataloader=None, val_cfg=None, val_evaluator=None)
    config.update(test_dataloader=None, test_cfg=None, test_evaluator=None)
    Steps.taken()
    with preserved(), silence(), patch.object(Config, "pretty_text", ""):  # the Runner formats its config for its log, for seconds
        runner = Runner.from_cfg(config)
        runner.register_hook(draws)
        runner.train()
    # The file that the Runner above has just written: it holds mmengine objects, so it cannot be loaded as plain data.
    saved = torch.load(work / f"epoch_{epochs}.pth", map_location="cpu", weights_only=False)["state_dict"]
    scalars = {name: log.current() for name, log in runner.message_hub.log_scalars.items() if name.startswith("val/")}
    found = json.loads((work / "found.bbox.json").read_text()) if validate else []
    return Stock(Steps.taken(), draws.first, runner.model.state_dict(), saved, scalars, found)
