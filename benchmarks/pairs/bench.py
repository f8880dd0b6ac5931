"""What distillation costs a training step of each tested pair, at full size: `python benchmarks/pairs/bench.py [--pairs NAME ...]`.

On the CPU it is one thread's own time, so that what else runs on the machine does not count; on a GPU (`--device cuda --size 640`) it is
the time that passes until the GPU is done.

One picture with three boxes; all knowledges that the pair shares, with the words of the paper's Table 5. For every pair, in
turn within one run: the student's step without distillation, the teacher's forward pass as far as the losses need it (without mask head
or selection of detections), the distilled step. What is left of the distilled step after the other two, over the student's step, is what
distillation itself costs; the goal is at most 0.25. Weights are random, so a two-stage student has its full number of proposals.
"""

from __future__ import annotations

import argparse
import copy
import platform
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData

from detkds.detectors.configs.config import adapt, build_detector, load_config
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.heads import family
from detkds.detectors.heads.predictions import MOST
from detkds.detectors.heads.query import Query
from detkds.detectors.heads.roi import RoI, run_stages
from detkds.detectors.taps import tap
from detkds.detectors.training.runtime import announced, runtime
from detkds.genome import Recipe
from detkds.genome.presets import preset
from detkds.pairs import PAIRS, Pair, Side, pair

CLASSES = tuple(f"class {number}" for number in range(80))
ALL_FIVE = preset("detkds-one-stage")


def config_of(side: Side) -> Config:
    config = load_config(side.config, trust=False)
    config.merge_from_dict(copy.deepcopy(dict(side.options)))
    return adapt(config, CLASSES).config


def picture(detector: Any, size: int) -> dict[str, Any]:
    """What a data loader yields: one image of noise with three boxes, which are their own masks where a detector learns masks."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.tensor([[20.0, 30, 90, 120], [150, 40, 300, 200], [60, 180, 110, 240]]) * size / 320
    sample = DetDataSample(metainfo={"img_shape": (size, size), "ori_shape": (size, size), "scale_factor": (1.0, 1.0), "img_id": 0})
    sample.gt_instances = InstanceData(bboxes=corners, labels=torch.tensor([0, 5, 9]))
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    if getattr(detector, "with_mask", False):
        masks = np.zeros((3, size, size), np.uint8)
        for mask, (left, top, right, bottom) in zip(masks, corners.int().tolist(), strict=True):
            mask[top:bottom, left:right] = 1
        sample.gt_instances.masks = BitmapMasks(masks, size, size)
    return {"inputs": [torch.randint(0, 256, (3, size, size), dtype=torch.uint8, generator=generator)], "data_samples": [sample]}


def step(distiller: Any, config: Config, size: int) -> Callable[[], None]:
    """Forward and backward pass of one training step, in the second half of the student's schedule."""

    def run() -> None:
        with announced(runtime(config, 1, 2)):
            losses = distiller(**distiller.data_preprocessor(picture(distiller.student, size), True), mode="loss")
        total, _ = distiller.parse_losses(losses)
        total.backward()
        distiller.zero_grad(set_to_none=True)

    return run


def teacher_pass(student: Any, teacher: Any, size: int, *, head: bool) -> Callable[[], None]:
    """The teacher to its neck or to its boxes, on as many proposals as the distilled step has, where it looks at any."""
    data = teacher.data_preprocessor(picture(student, size), True)
    kind = family(teacher)
    rois = proposals(student, size) if head and kind is RoI else None

    @torch.no_grad()
    def run() -> None:
        levels = teacher.extract_feat(data["inputs"])
        if not head:
            return
        if kind is RoI:
            run_stages(teacher.roi_head, levels, rois)
        elif kind is Query:
            teacher.bbox_head(**teacher.forward_transformer(levels, data["data_samples"]))
        else:
            teacher.bbox_head(levels)

    return run


def proposals(student: Any, size: int) -> torch.Tensor:
    """Those that a two-stage student trains on; as many boxes as are compared of any other."""
    if family(student) is RoI:
        with tap(student) as tapped:
            student(**student.data_preprocessor(picture(student, size), True), mode="loss")
        assert tapped.rois is not None
        return tapped.rois
    corners = torch.rand(MOST, 2, generator=torch.Generator().manual_seed(1)) * size / 2
    boxes = torch.cat([torch.zeros(MOST, 1), corners, corners + size / 4], 1)
    return boxes.to(next(student.parameters()).device)


def clock(device: str) -> float:
    """Seconds: this thread's own on the CPU; on a GPU those that have passed when it is done."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def timed(runs: dict[str, Callable[[], None]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each in every round, in turn, so that a slow minute of the machine slows all."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            began = clock(device)
            run()
            if number:  # the first is for caches
                times[name].append(clock(device) - began)
    return times


def measure(entry: Pair, rounds: int, device: str, size: int) -> str:
    config = config_of(entry.student)
    student, teacher = build_detector(config, seed=0).to(device), build_detector(config_of(entry.teacher), seed=1).to(device).eval()
    recipe = Recipe(tuple(genome for genome in ALL_FIVE.genomes if genome.knowledge not in entry.unsupported))
    runs = {
        "student": step(DistilledDetector(copy.deepcopy(student), None, Recipe()).train(), config, size),
        "teacher": teacher_pass(student, teacher, size, head=not all(genome.knowledge.is_feature for genome in recipe.genomes)),
        "distilled": step(DistilledDetector(student, teacher, recipe).train().to(device), config, size),
    }
    times = timed(runs, rounds, device)
    left = median((distilled - own - teachers) / own for own, teachers, distilled in zip(*times.values(), strict=True))
    columns = [entry.name, *(f"{1e3 * median(seconds):.0f}" for seconds in times.values()), f"{left:.2f}"]
    return f"| {' | '.join(columns)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--pairs", nargs="*", default=[entry.name for entry in PAIRS])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"\n### Pairs: {platform.machine()}, {options.device}, {options.size} pixels, torch {torch.__version__}\n")
    print(
        "| pair | student's step ms | teacher's pass ms | distilled step ms | left over, of the student's step |\n|---|---:|---:|---:|---:|"
    )
    for name in options.pairs:
        print(measure(pair(name), options.rounds, options.device, options.size), flush=True)


if __name__ == "__main__":
    main()
