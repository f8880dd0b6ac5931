"""What a detector costs to run: its size, its arithmetic and its time on this device."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from detkds.detectors.device import resolve
from detkds.detectors.predict import look
from detkds.detectors.training.batches import Samples
from detkds.evaluation.scores import Cost


@dataclass(frozen=True, slots=True)
class Timing:
    """How often a pass is timed: after `warm_up` passes that do not count, `most` times, but only `least` times if that takes `limit_s`."""

    warm_up: int
    least: int
    most: int
    limit_s: float


TIMINGS = {"cpu": Timing(0, 3, 10, 4.0), "cuda": Timing(10, 20, 100, 4.0)}
"""On the CPU the pass that counts operations, which comes first, is warm-up enough."""
SPREAD = (0.1, 0.5, 0.9)  # quantiles: low, median, high


def cost(detector: nn.Module, samples: Samples, *, device: str = "auto", timing: Timing | None = None) -> Cost:
    """Measure a detector on the first image of `samples`, a batch of its own at the size that the test pipeline gives it.

    `flops` counts the convolutions, matrix products and attentions that this image takes, two a multiply-add (mmdet's tables and most
    papers count one, and call it FLOPs too). Deformable convolutions count as plain ones; everything else is left out, as is usual.
    The time is that of forward pass and postprocessing; loading, resizing and normalising the image are not in it. Low and high are the
    10 % and 90 % quantiles of the repeats.

    Args:
        detector: put into evaluation mode while this runs, and back into its mode afterwards.
        samples: test samples (`training=False`).
        device: see `device.resolve`.
        timing: how often; None takes TIMINGS of the device.
    """
    place = resolve(device)
    model: Any = detector.to(place)
    training = model.training
    model.eval()
    try:
        data = model.data_preprocessor(next(samples.test_batches(1)), False)
        flops = _flops(model, data)
        low, median, high = np.quantile(_times_ms(model, data, place, timing or TIMINGS[place.type]), SPREAD).tolist()
    finally:
        model.train(training)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    size = data["inputs"].shape[-2:]
    return Cost(parameters, flops, {"median": median, "low": low, "high": high}, _name(place), (int(size[0]), int(size[1])))


def _flops(model: nn.Module, data: dict[str, Any]) -> int:
    with FlopCounterMode(display=False) as counter, _deformable(model) as uncounted:
        look(model, data)
    return int(counter.get_total_flops()) + sum(uncounted)


@contextmanager
def _deformable(model: nn.Module) -> Iterator[list[int]]:
    """Collects the operations of mmcv's deformable convolutions, which torch does not see, as those of plain ones of their shape."""
    counted: list[int] = []

    def count(module: Any, inputs: Any, output: torch.Tensor) -> None:
        counted.append(2 * output.numel() * module.in_channels // module.groups * prod(module.kernel_size))

    kinds = (DeformConv2d, ModulatedDeformConv2d)
    hooks = [module.register_forward_hook(count) for module in model.modules() if isinstance(module, kinds)]
    try:
        yield counted
    finally:
        for hook in hooks:
            hook.remove()


def _times_ms(model: nn.Module, data: dict[str, Any], device: torch.device, timing: Timing) -> list[float]:
    for _ in range(timing.warm_up):
        _pass_ms(model, data, device)
    times: list[float] = []
    while len(times) < timing.most and (len(times) < timing.least or sum(times) < 1000 * timing.limit_s):
        times.append(_pass_ms(model, data, device))
    return times


def _pass_ms(model: nn.Module, data: dict[str, Any], device: torch.device) -> float:
    _wait(device)
    began = time.perf_counter()
    look(model, data)
    _wait(device)
    return 1000 * (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    """Wait for the GPU, which still works when Python reads the clock."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
