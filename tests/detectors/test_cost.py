"""Size, arithmetic and time of a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mask_pictures import make_mask_config, make_mask_source
from mmcv.ops import DeformConv2d, ModulatedDeformConv2dPack
from pictures import make_config, make_source
from torch import nn

from detkds.detectors import build_detector
from detkds.detectors.cost import Timing, cost
from detkds.detectors.training.batches import Samples, Source

FEW = Timing(warm_up=2, least=1, most=3, limit_s=60.0)


class OneLayer(nn.Module):
    """Looks like a detector: its only layer sees a picture of 8 x 6 pixels."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.passes = 0

    def data_preprocessor(self, batch: Any, training: bool) -> dict[str, Any]:
        assert len(batch["inputs"]) == 1
        assert not training
        return {"inputs": torch.zeros(1, 4, 8, 6)}

    def forward(self, inputs: torch.Tensor, mode: str) -> torch.Tensor:
        assert mode == "predict"
        assert not self.training
        self.passes += 1
        if isinstance(self.layer, DeformConv2d):
            return self.layer(inputs, torch.zeros(1, 18, 8, 6))
        return self.layer(inputs)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return Samples(make_config(), make_source(tmp_path_factory.mktemp("data") / "test", 3), training=False)


def test_a_convolution_by_hand(samples: Samples) -> None:
    detector = OneLayer(nn.Conv2d(4, 10, 3, padding=1)).train()
    measured = cost(detector, samples, device="cpu", timing=FEW)
    assert measured.parameters == 10 * 4 * 3 * 3 + 10
    # 8 * 6 places, 10 channels out of 4 * 3 * 3 products each, two operations a product
    assert measured.flops == 2 * 48 * 10 * 36
    assert measured.input == (8, 6)
    assert measured.device.startswith("CPU")
    assert 0 < measured.latency_ms["low"] <= measured.latency_ms["median"] <= measured.latency_ms["high"]
    assert detector.passes == 1 + 2 + 3  # one to count, two to warm up, three timed
    assert detector.training


def test_timing_stops_at_its_limit_but_not_before_the_least(samples: Samples) -> None:
    detector = OneLayer(nn.Conv2d(4, 10, 3, padding=1))
    cost(detector, samples, device="cpu", timing=Timing(warm_up=0, least=2, most=1000, limit_s=0.0))
    assert detector.passes == 1 + 2


@pytest.mark.parametrize("groups", [1, 2])
def test_a_deformable_convolution_counts_as_a_plain_one(samples: Samples, groups: int) -> None:
    deformable = DeformConv2d(4, 10, 3, padding=1, groups=groups)
    assert cost(OneLayer(deformable), samples, device="cpu", timing=FEW).flops == 2 * 48 * 10 * 36 // groups


def test_a_packed_deformable_convolution_also_computes_its_offsets(samples: Samples) -> None:
    packed = ModulatedDeformConv2dPack(4, 10, 3, padding=1)
    # 27 channels, two offsets and a mask for each of 9 places, come from a plain convolution of the same size.
    assert cost(OneLayer(packed), samples, device="cpu", timing=FEW).flops == 2 * 48 * (10 + 27) * 36
    assert not packed._forward_hooks


def test_real_detectors(samples: Samples, tmp_path: Path) -> None:
    boxes = cost(build_detector(make_config(), seed=0), samples, device="cpu", timing=FEW)
    wider = cost(build_detector(make_config(16), seed=0), samples, device="cpu", timing=FEW)
    assert wider.parameters > boxes.parameters
    assert wider.flops > boxes.flops > 0
    assert boxes.input == (64, 64)  # 64 x 48, padded to whole strides of 32
    masks: Source = make_mask_source(tmp_path / "masks")
    config = make_mask_config()
    assert cost(build_detector(config, seed=0), Samples(config, masks, training=False), device="cpu", timing=FEW).flops > 0
