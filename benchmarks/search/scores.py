"""Which score of a short training orders recipes as the full training does: AP on search-val, the detection loss there, or both?

usage: python -m benchmarks.search.scores run.yaml OUT.jsonl [--recipes N] [--seeds 0,1]

Every line of OUT is one recipe, written when it is measured; those that are there are not measured again. A seed is that of a short and of
a full training; the images are the same. Prints Kendall's τ of each score with the test AP of the full training, the mean over its seeds:
for each seed of the short training, for their mean, and for the scores averaged over the seeds; and of the differences between the scores
intervals over 1000 resamples of the recipes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from rich.console import Console
from scipy.stats import kendalltau

from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.loss_validation import LossValidation
from detkds.detectors.predict import detections
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.train import start_student
from detkds.errors import DetKDSError
from detkds.evaluation.coco import evaluate
from detkds.genome import Recipe
from detkds.genome.presets import parse_recipe
from detkds.pipeline import pair as pairs
from detkds.pipeline import stage
from detkds.pipeline.run import Run
from detkds.pipeline.subset import part
from detkds.pipeline.train import classes_of

RECIPES = (
    "no distillation", "fitnets", "pkd x 1", "pkd x 5", "pkd", "cwd", "logits: none | l1 x 5", "detkds-one-stage", "fitnets x 10",
    "fgbg: none > none > none | l2 x 2", "global: catt > scale_2 > norm_N | l1 x 5", "fkd", "skd", "cwd x 1",
    "logits: norm_batch | pearson", "pkd x 2", "cwd x 10", "instance: none > none > none | l2 x 1", "logits: softmax_C | kl x 5",
)  # fmt: skip
LEVEL = 0.95
Row = Mapping[str, Any]
"""`recipe`, and by seed `AP` and `loss` of the short training on search-val, and `full`, test AP of the full training."""


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

    def train(self, recipe: Recipe, images: str, settings: TrainSettings) -> Any:
        """The student with its last weights."""
        samples = Samples(self.config, self.parts[images], training=True, seed=settings.seed)
        student, _ = start_student(self.config, self.start, seed=settings.seed, teacher=self.teacher)
        distiller = DistilledDetector(student, self.teacher if recipe.active else None, recipe)
        Training(distiller, self.config, samples, settings).run()
        return student

    def ap(self, student: Any, images: str) -> float:
        """AP in [0, 1]."""
        samples = Samples(self.config, self.parts[images], training=False)
        return float(evaluate(samples.truth, detections(student, samples, device="cpu")).figures["AP"])

    def loss(self, student: Any) -> float:
        """Mean detection loss on search-val, as `search.score: loss` has it."""
        score = LossValidation(self.config, self.parts["search_val"], student, self.short, early_stop=False).score(student)
        return 1 / score - 1

    def row(self, recipe: Recipe, seeds: Sequence[int]) -> dict[str, list[float]]:
        """All scores of a recipe, and what it is worth in full, seed by seed."""
        found: dict[str, list[float]] = {"AP": [], "loss": [], "full": []}
        for seed in seeds:
            student = self.train(recipe, "search_train", replace(self.short, seed=seed))
            found["AP"].append(self.ap(student, "search_val"))
            found["loss"].append(self.loss(student))
            found["full"].append(self.ap(self.train(recipe, "train", replace(self.full, seed=seed)), "test"))
        return found


def _standard(values: Sequence[float]) -> list[float]:
    return [(value - fmean(values)) / (pstdev(values) or 1.0) for value in values]


def _ap(rows: Sequence[Row], seed: int) -> list[float]:
    return [row["AP"][seed] for row in rows]


def _loss(rows: Sequence[Row], seed: int) -> list[float]:
    return [-row["loss"][seed] for row in rows]


def _both(rows: Sequence[Row], seed: int) -> list[float]:
    return [a + b for a, b in zip(_standard(_ap(rows, seed)), _standard(_loss(rows, seed)), strict=True)]


SCORES: Mapping[str, Callable[[Sequence[Row], int], list[float]]] = {"AP": _ap, "detection loss": _loss, "AP and loss": _both}


def taus(rows: Sequence[Row], score: Callable[[Sequence[Row], int], list[float]]) -> list[float]:
    """τ of each seed, their mean, and that of the scores averaged over the seeds."""
    worth = [fmean(row["full"]) for row in rows]
    seeds = [score(rows, seed) for seed in range(len(rows[0]["AP"]))]
    averaged = [fmean(values) for values in zip(*seeds, strict=True)]
    each = [float(kendalltau(values, worth).statistic) for values in seeds]
    return [*each, fmean(each), float(kendalltau(averaged, worth).statistic)]


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Markdown."""
    count = len(rows[0]["AP"])
    seeds = " | ".join(f"seed {place}" for place in range(count))
    yield f"| score | {seeds} | their mean | over AP, 95 % | averaged scores | over AP, 95 % |"
    yield "|---|" + "---:|" * (count + 4)
    draw = random.Random(0)
    resamples = [draw.choices(rows, k=len(rows)) for _ in range(1000)]
    before = [taus(resample, SCORES["AP"]) for resample in resamples]
    for name, score in SCORES.items():
        cells = [f"{value:.2f}" for value in taus(rows, score)]
        drawn = [taus(resample, score) for resample in resamples]
        gains = [_interval([a[place] - b[place] for a, b in zip(drawn, before, strict=True)]) for place in (-2, -1)]
        one, averaged = ("", "") if name == "AP" else gains
        yield f"| {name} | {' | '.join(cells[:-1])} | {one} | {cells[-1]} | {averaged} |"


def _interval(values: list[float]) -> str:
    values.sort()
    low, high = (values[round(share * (len(values) - 1))] for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return f"{low:+.2f} to {high:+.2f}"


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_yaml", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipes", type=int, default=len(RECIPES))
    parser.add_argument("--seeds", default="0,1")
    given = parser.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    known = {row["recipe"]: row for row in map(json.loads, given.out.read_text().splitlines())} if given.out.exists() else {}
    with Run.open(given.run_yaml, home=given.out.parent / "home", trust=False, console=Console(stderr=True)) as run:
        bench = Bench(run)
        for text in RECIPES[: given.recipes]:
            if text in known:
                continue
            try:
                known[text] = {"recipe": text, **bench.row(parse_recipe(text, "paper"), seeds)}
            except DetKDSError as error:
                print(f"{text}: {error}")
                continue
            with given.out.open("a") as lines:
                lines.write(json.dumps(known[text]) + "\n")
    print("\n".join(table([known[text] for text in RECIPES[: given.recipes] if text in known])))


if __name__ == "__main__":
    main()
