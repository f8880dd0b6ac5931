"""What distillation costs a training step, and the candidates that an hour allows: `python benchmarks/training/bench.py`.

The pair is that of examples/bccd.yaml at 320 x 240, batch 4, on pictures made by code, so it needs no data set. For every knowledge and
for all five together, alternating in one run: time of a distilled step over (time of the undistilled step + the teacher's forward pass as
far as the recipe needs it); the goal is at most 1.25. Then candidates per hour of the proxy objective, and of `--bccd FOLDER` if given.
"""

from __future__ import annotations

import argparse
import copy
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from detkds.data.synthetic import CLASSES, generate
from detkds.detectors.configs.config import adapt, build_detector
from detkds.detectors.configs.data_config import read_config
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.objective import ProxyObjective
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import TrainSettings
from detkds.genome import Recipe
from detkds.genome.presets import preset
from detkds.objective import Goal

CONFIGS = Path(__file__).resolve().parents[2] / "examples" / "configs"
BATCH = 4
ALL_FIVE = preset("detkds-one-stage")


def detector(role: str, classes: tuple[str, ...], seed: int) -> tuple[Any, Any]:
    config = adapt(read_config(str(CONFIGS / f"bccd_{role}.yaml")), classes).config
    return config, build_detector(config, seed=seed)


def step(distiller: Any, batch: Any) -> Callable[[], None]:
    def run() -> None:
        total, _ = distiller.parse_losses(distiller(**distiller.data_preprocessor(copy.deepcopy(batch), True), mode="loss"))
        total.backward()
        distiller.zero_grad(set_to_none=True)

    return run


def teacher_pass(teacher: Any, batch: Any, *, head: bool) -> Callable[[], None]:
    inputs = teacher.data_preprocessor(copy.deepcopy(batch), True)["inputs"]

    def run() -> None:
        with torch.no_grad():
            levels = teacher.extract_feat(inputs)
            if head:
                teacher.bbox_head(levels)

    return run


def alternating(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each, measured in turn so that a slow minute of the machine slows all."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if round_number:  # the first is for caches
                times[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in times.items()}


def step_ratios(folder: Path, rounds: int) -> None:
    config, student = detector("student", CLASSES, 0)
    _, teacher = detector("teacher", CLASSES, 1)
    teacher.eval()
    samples = Samples(config, Source(folder / "annotations/train.json", folder / "train"), training=True)
    batch = next(samples.training_batches(BATCH, 1))
    recipes = {str(genome.knowledge): Recipe((genome,)) for genome in ALL_FIVE.genomes} | {"all five": ALL_FIVE}
    runs = {"student": step(DistilledDetector(copy.deepcopy(student), None, Recipe()).train(), batch)}
    runs |= {f"teacher {head}": teacher_pass(teacher, batch, head=head) for head in (False, True)}
    runs |= {name: step(DistilledDetector(copy.deepcopy(student), teacher, recipe).train(), batch) for name, recipe in recipes.items()}
    seconds = alternating(runs, rounds)
    print(f"student step {1e3 * seconds['student']:.0f} ms, teacher to its neck {1e3 * seconds['teacher False']:.0f} ms, "
          f"to its head {1e3 * seconds['teacher True']:.0f} ms\n")  # fmt: skip
    print("| recipe | distilled step ms | student + teacher ms | ratio |\n|---|---:|---:|---:|")
    for name, recipe in recipes.items():
        head = not all(knowledge.is_feature for knowledge in recipe.weights)
        base = seconds["student"] + seconds[f"teacher {head}"]
        print(f"| {name} | {1e3 * seconds[name]:.0f} | {1e3 * base:.0f} | {seconds[name] / base:.2f} |")


def candidates_an_hour(train: Source, val: Source, classes: tuple[str, ...], epochs: int) -> None:
    config, _ = detector("student", classes, 0)
    _, teacher = detector("teacher", classes, 1)
    objective = ProxyObjective(config, teacher, train, val, TrainSettings(epochs=epochs, batch_size=BATCH), early_stop=False)
    recipe = Recipe.parse("global: none > none > norm_batch | l2 x 1")
    began = time.perf_counter()
    score = objective(recipe, Goal())
    seconds = time.perf_counter() - began
    print(f"\none candidate of {score.student_steps} steps with its validation: {seconds:.1f} s, {3600 / seconds:.0f} an hour")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--bccd", type=Path, help="folder of the blood cell data set; its train40.json is trained on")
    options = parser.parse_args()
    print(f"\n### Training step: {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        generate(folder, teacher_images=1, train=BATCH, test=1, size=(320, 240))
        step_ratios(folder, options.rounds)
    if options.bccd:
        annotations = options.bccd / "annotations"
        train = Source(annotations / "train40.json", options.bccd / "train")
        candidates_an_hour(train, train, ("WBC", "RBC", "Platelets"), epochs=6)


if __name__ == "__main__":
    main()
