"""Which score of a short training orders losses as the full training does: AP of the last weights, of their moving average, the detection
loss on search-val, both together, two seeds, or cross-fitting (search-train and search-val changing places)?

usage: python -m benchmarks.search.scores run.yaml OUT.jsonl [--recipes N]

Every line of OUT is one recipe, written when it is measured; those that are there are not measured again. Prints Kendall's τ of each score
with test AP after the full training.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.predict import detections
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.train import start_student
from detkds.evaluation.coco import evaluate
from detkds.genome import Recipe
from detkds.genome.presets import parse_recipe
from detkds.pipeline import pair as pairs
from detkds.pipeline import stage
from detkds.pipeline.run import Run
from detkds.pipeline.subset import part
from detkds.pipeline.train import classes_of
from detkds.report.correlation import agreement

RECIPES = (
    "no distillation", "fitnets", "pkd x 1", "pkd x 5", "pkd", "cwd", "logits: none | l1 x 5", "detkds-one-stage", "fitnets x 10",
    "fgbg: none > none > none | l2 x 2", "global: catt > scale_2 > norm_N | l1 x 5", "fkd", "skd", "cwd x 1",
    "logits: norm_batch | pearson",
)  # fmt: skip
DECAY = 0.95
"""Of the moving average: the last twenty steps count."""


class Bench:
    """One pair on one subset."""

    def __init__(self, run: Run) -> None:
        values = run.values
        self.pair = stage.pair(values)
        self.parts = {name: Source(one.annotations, one.images) for name in ("search_train", "search_val", "train", "test")
                      for one in [part(run.subset, name)]}  # fmt: skip
        classes = pairs.classes_of_pair(self.pair, classes_of(self.parts["train"]))
        self.config, self.start = pairs.student(self.pair, classes)
        self.teacher = pairs.teacher(self.pair.teacher_config, self.pair.teacher_checkpoint, classes)
        self.short, self.full = (pairs.settings(stage.schedule(values, values[name]), self.config) for name in ("proxy_epochs", "epochs"))

    def train(self, recipe: Recipe, images: str, settings: TrainSettings) -> tuple[Any, Any]:
        """The student with its last weights, and with their moving average."""
        samples = Samples(self.config, self.parts[images], training=True, seed=settings.seed)
        student, _ = start_student(self.config, self.start, seed=settings.seed, teacher=self.teacher)
        averaged = copy.deepcopy(student)
        distiller = DistilledDetector(student, self.teacher if recipe.active else None, recipe)

        def average(step: int, total: int, losses: Any) -> None:
            decay = min(DECAY, step / (step + 10))
            with torch.no_grad():
                for mean, last in zip(averaged.state_dict().values(), student.state_dict().values(), strict=True):
                    mean.copy_(decay * mean + (1 - decay) * last if mean.is_floating_point() else last)

        Training(distiller, self.config, samples, settings).run(progress=average)
        return student, averaged

    def ap(self, student: Any, images: str) -> float:
        """AP in [0, 1]."""
        samples = Samples(self.config, self.parts[images], training=False)
        return float(evaluate(samples.truth, detections(student, samples, device="cpu")).figures["AP"])

    def loss(self, student: Any, images: str) -> float:
        """Mean detection loss with the weights as they are."""
        samples = Samples(self.config, self.parts[images], training=True, seed=0)
        student.eval()
        found = []
        for batch in samples.training_batches(4, 1):
            with torch.no_grad():
                losses = student(**student.data_preprocessor(batch, False), mode="loss")
            found.append(float(student.parse_losses(losses)[0]))
        return statistics.fmean(found)

    def scores(self, recipe: Recipe) -> dict[str, float]:
        """All scores of a recipe, and what it is worth in full."""
        last, averaged = self.train(recipe, "search_train", self.short)
        found = {
            "AP": self.ap(last, "search_val"),
            "AP, averaged": self.ap(averaged, "search_val"),
            "loss": -self.loss(last, "search_val"),
            "loss, averaged": -self.loss(averaged, "search_val"),
        }
        again, averaged = self.train(recipe, "search_train", replace(self.short, seed=self.short.seed + 1))
        found["AP, seed 1"], found["AP, averaged, seed 1"] = self.ap(again, "search_val"), self.ap(averaged, "search_val")
        swapped, averaged = self.train(recipe, "search_val", self.short)
        found["AP, swapped"], found["AP, averaged, swapped"] = self.ap(swapped, "search_train"), self.ap(averaged, "search_train")
        found["full"] = self.ap(self.train(recipe, "train", self.full)[0], "test")
        return found


def compared(rows: Sequence[dict[str, float]]) -> Iterator[tuple[str, float, list[float]]]:
    """Name, cost in short trainings, and the values of each score."""

    def of(name: str) -> list[float]:
        return [row[name] for row in rows]

    def standard(values: list[float]) -> list[float]:
        return [(value - statistics.fmean(values)) / (statistics.pstdev(values) or 1.0) for value in values]

    def mean(*lists: list[float]) -> list[float]:
        return [statistics.fmean(values) for values in zip(*lists, strict=True)]

    yield "AP, last weights (as now)", 1, of("AP")
    yield "AP, averaged weights", 1, of("AP, averaged")
    yield "detection loss, last weights", 1, of("loss")
    yield "detection loss, averaged weights", 1, of("loss, averaged")
    yield "AP and loss, last weights", 1, mean(standard(of("AP")), standard(of("loss")))
    yield "AP and loss, averaged weights", 1, mean(standard(of("AP, averaged")), standard(of("loss, averaged")))
    yield "AP, two seeds", 2, mean(of("AP"), of("AP, seed 1"))
    yield "AP, averaged weights, two seeds", 2, mean(of("AP, averaged"), of("AP, averaged, seed 1"))
    yield "AP, cross-fitted", 2, mean(of("AP"), of("AP, swapped"))
    yield "AP, averaged weights, cross-fitted", 2, mean(of("AP, averaged"), of("AP, averaged, swapped"))


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_yaml", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipes", type=int, default=len(RECIPES))
    given = parser.parse_args()
    known = {row["recipe"]: row for row in map(json.loads, given.out.read_text().splitlines())} if given.out.exists() else {}
    with Run.open(given.run_yaml, home=given.out.parent / "home", trust=False, console=Console(stderr=True)) as run:
        bench = Bench(run)
        for text in RECIPES[: given.recipes]:
            if text not in known:
                known[text] = {"recipe": text, **bench.scores(parse_recipe(text, "paper"))}
                with given.out.open("a") as lines:
                    lines.write(json.dumps(known[text]) + "\n")
    rows = [known[text] for text in RECIPES[: given.recipes] if text in known]
    for name, cost, values in compared(rows):
        found = agreement(values, [row["full"] for row in rows])
        print(f"| {name} | {cost} | {found.kendall:+.2f} | {found.spearman:+.2f} |")


if __name__ == "__main__":
    main()
