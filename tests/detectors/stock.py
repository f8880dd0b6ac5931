"""mmengine's own Runner on the batches and random draws of our training, to hold our loop against."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from detkds.detectors import build_detector
from detkds.detectors.silence import silence
from detkds.detectors.training.batches import Samples
from detkds.detectors.training.randomness import Purpose, derived_seed, preserved, seed_all


class Epochs:
    """Our order of the images as a batch sampler: the next epoch each time a Runner begins one."""

    sampler = None

    def __init__(self, samples: Samples, batch_size: int) -> None:
        self.samples, self.batch_size, self.epoch = samples, batch_size, 0

    def __len__(self) -> int:
        return len(self.samples.order(0, self.batch_size))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        self.epoch += 1
        return iter(self.samples.order(self.epoch - 1, self.batch_size))


class Images:
    """Our Samples to load from; hooks that change the data set reach mmdet's own inside."""

    def __init__(self, samples: Samples) -> None:
        vars(self)["samples"] = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        return self.samples[key]

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["samples"].dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.samples.dataset, name, value)


class SameDraws(Hook):
    """Seeds each step as our loop does, and keeps its losses."""

    priority = "VERY_HIGH"

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.losses: list[dict[str, float]] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        seed_all(derived_seed(self.seed, Purpose.STEP, runner.iter))

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.losses.append({name: float(value) for name, value in outputs.items()})


def train_stock(config: Config, samples: Samples, epochs: int, batch_size: int, work: Path) -> tuple[list[dict[str, float]], Any, Any]:
    """The losses of each step, the trained model and the checkpoint that mmengine's CheckpointHook wrote last."""
    config = copy.deepcopy(config)
    draws = SameDraws(samples.seed)
    loader: Any = DataLoader(Images(samples), batch_sampler=Epochs(samples, batch_size), collate_fn=pseudo_collate)
    model: Any = build_detector(config, seed=samples.seed)
    model.init_weights = lambda: None  # the Runner would draw the first weights again
    with preserved(), silence():
        runner = Runner(
            model=model,
            work_dir=str(work),
            train_dataloader=loader,
            train_cfg={"type": "EpochBasedTrainLoop", "max_epochs": epochs},
            optim_wrapper=config.optim_wrapper,
            param_scheduler=config.get("param_scheduler"),
            custom_hooks=[draws, *_hooks(config, samples)],
            default_hooks={"logger": {"type": "LoggerHook", "interval": 10**9}, "checkpoint": {"type": "CheckpointHook", "interval": 1}},
            randomness={"seed": samples.seed},
            default_scope="mmdet",
            experiment_name=f"stock-{work.name}-{id(draws)}",
            log_level="ERROR",
        )
        runner.train()
    # The file that the Runner above has just written: it holds mmengine objects, so it cannot be loaded as plain data.
    saved = torch.load(work / f"epoch_{epochs}.pth", map_location="cpu", weights_only=False)
    return draws.losses, runner.model, saved["state_dict"]


def _hooks(config: Config, samples: Samples) -> list[Any]:
    hooks = copy.deepcopy(config.get("custom_hooks") or [])
    for hook in hooks:
        if "switch_pipeline" in hook:
            hook["switch_pipeline"] = samples.prepared(hook["switch_pipeline"])
    return hooks
