"""A student trained here without distillation is the one that mmengine's Runner trains: same losses, same weights, step for step."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from pictures import make_source
from small_families import EPOCHS, FAMILIES, small
from stock import train_stock
from torch import Tensor

from detkds.detectors import DistilledDetector, build_detector
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.genome import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("data") / "train", 7)


def without_augmentations(config: Config) -> Config:
    config = copy.deepcopy(config)
    config.train_dataloader.dataset = {
        "type": "CocoDataset",
        "pipeline": [
            {"type": "LoadImageFromFile"},
            {"type": "LoadAnnotations", "with_bbox": True},
            {"type": "Resize", "scale": (96, 96), "keep_ratio": True},
            {"type": "Pad", "size": (96, 96)},
            {"type": "PackDetInputs"},
        ],
    }
    config.custom_hooks = []
    return config


def train_ours(config: Config, samples: Samples, **settings: Any) -> tuple[list[dict[str, float]], Training]:
    losses: list[dict[str, float]] = []
    distiller = DistilledDetector(build_detector(config, seed=samples.seed), None, Recipe())
    chosen = TrainSettings(**{"epochs": EPOCHS, "batch_size": 2, "device": "cpu", "seed": samples.seed, **settings})
    training = Training(distiller, config, samples, chosen)
    training.run(progress=lambda step, steps, of_step: losses.append(dict(of_step)))
    return losses, training


def assert_same(stock: dict[str, Tensor], ours: dict[str, Tensor]) -> None:
    assert stock.keys() == ours.keys()
    for name, tensor in stock.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("name", FAMILIES)
def test_without_augmentations_losses_and_weights_are_those_of_mmengine(name: str, source: Source, tmp_path: Path) -> None:
    config = without_augmentations(small(name))
    samples = Samples(config, source, training=True, seed=3)
    expected, _, checkpoint = train_stock(config, samples, EPOCHS, 2, tmp_path / "stock")
    losses, training = train_ours(config, samples)
    assert (
        len(losses) == len(expected) == 16
    )  # 4 epochs of 7 images, two per step, the last one alone; the data set of this test has no filter
    assert losses[0] == pytest.approx(expected[0], rel=1e-5)
    assert losses[-1] == pytest.approx(expected[-1], rel=1e-4)
    assert losses[-1]["loss"] != pytest.approx(losses[0]["loss"], rel=1e-3)
    assert_same(checkpoint, training.student.state_dict())


@pytest.mark.parametrize("name", ["rtmdet-tiny", "yolox-nano"])
def test_with_its_augmentations_and_hooks_a_student_is_that_of_mmengine(name: str, source: Source, tmp_path: Path) -> None:
    """Mosaic, mix-up, sizes by batch, the switch to another pipeline and loss, and the moving average of weights."""
    config = small(name)
    stock, ours = (Samples(config, source, training=True, seed=3) for _ in range(2))
    expected, model, checkpoint = train_stock(config, stock, EPOCHS, 2, tmp_path / "stock")
    losses, training = train_ours(config, ours)
    assert [step["loss"] for step in losses] == pytest.approx([step["loss"] for step in expected], rel=1e-4)
    assert_same(checkpoint, training.student.state_dict())
    moved = max(float((model.state_dict()[key] - checkpoint[key]).abs().max()) for key in checkpoint)
    assert moved > 1e-6  # the student that is kept is the average, not the last one
