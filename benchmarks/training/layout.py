"""What `train.channels_last` and `train.compiled` bring on this machine: `python benchmarks/training/layout.py [WAY ...]`.

A step of the demo's student (forward, backward, AdamW) without distillation, batch 8 at 160 x 128, one thread; the three are measured in
turn, three rounds of which the smallest median counts.
"""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from detkds.detectors.configs.config import adapt, build_detector
from detkds.detectors.configs.data_config import read_config

CONFIG = Path(__file__).resolve().parents[2] / "examples" / "configs" / "demo_student.yaml"
BATCH, SIZE, STEPS, ROUNDS = 8, (128, 160), 10, 3
WAYS = {"contiguous": {}, "channels_last": {"channels_last": True}, "compiled": {"compiled": True}}


def prepared(channels_last: bool = False, compiled: bool = False) -> tuple[Any, Any, torch.Tensor]:
    """Student, optimizer, and a batch of noise as Training prepares them."""
    config = adapt(read_config(str(CONFIG)), ("a", "b", "c")).config
    student, images = build_detector(config, seed=0).train(), torch.randn(BATCH, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    if channels_last:
        student.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    if compiled:
        student.backbone.compile()
        student.neck.compile()
    return student, torch.optim.AdamW(student.parameters(), lr=1e-4), images


def truth() -> list[Any]:
    """Two objects per image."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    boxes = torch.tensor([[20.0, 20.0, 60.0, 60.0], [80.0, 40.0, 140.0, 110.0]])
    shapes = {"img_shape": SIZE, "batch_input_shape": SIZE, "pad_shape": SIZE}
    samples = []
    for _ in range(BATCH):
        sample = DetDataSample(metainfo=shapes)
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([0, 1]))
        sample.ignored_instances = InstanceData(bboxes=boxes[:0], labels=torch.zeros(0, dtype=torch.long))
        samples.append(sample)
    return samples


def step_s(student: Any, optimizer: Any, images: torch.Tensor, samples: list[Any], steps: int) -> float:
    """Median seconds of a step."""
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        total, _ = student.parse_losses(student(images, samples, mode="loss"))
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        times.append(time.perf_counter() - began)
    return median(times)


def main() -> None:
    torch.set_num_threads(1)
    made, samples = {name: prepared(**WAYS[name]) for name in sys.argv[1:] or WAYS}, truth()
    for name, parts in made.items():
        began = time.perf_counter()
        step_s(*parts, samples, 2)
        print(f"{name}: the first two steps {time.perf_counter() - began:.1f} s", flush=True)
    found: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(ROUNDS):
        for name, parts in made.items():
            found[name].append(step_s(*parts, samples, STEPS))
    print(f"{platform.machine()}, torch {torch.__version__}, one thread, batch {BATCH} at {SIZE[1]} x {SIZE[0]}")
    for name, seconds in found.items():
        print(f"{name}: {1000 * min(seconds):.0f} ms (rounds: {', '.join(f'{1000 * one:.0f}' for one in seconds)})")


if __name__ == "__main__":
    main()
