"""What images without labels are worth: the share that they close of the gap between few labels and all, at equal numbers of steps.

usage: python -m benchmarks.unlabelled.worth ROW... [--steps 1200] [--seeds 0,1,2,3,4] [--home DIR] [--jobs 2]

A row is LABELS: RECIPE, where RECIPE is what `detkds compare --recipe` takes, and LABELS is one of

* few: 40 labelled photographs;
* unlabelled: these, and the other 165 photographs without labels, 4 of them beside the 4 labelled ones of each step;
* all: 205 labelled photographs.

Student, teacher and test images are the same, from the run.yaml files of `benchmarks/search/bccd_small`; equal seeds mean equal first
weights. Differences are to the first row of few labels with losses. Trainings that are in the home are not made again.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from detkds.evaluation.repeated import Gap, Images, Repeat, gap, mean_and_spread
from detkds.experiments.comparison import REFERENCES
from detkds.experiments.prepared_run import recipes_of
from detkds.experiments.trainings import Entry, Trainings
from detkds.pipeline.run import Run
from detkds.pipeline.subset import part
from detkds.pipeline.values import Values

HERE = Path(__file__).parents[1] / "search" / "bccd_small"
FILES = {"few": "run.yaml", "unlabelled": "unlabelled.yaml", "all": "all.yaml"}
BATCH = 4
"""Labelled images of a step, as student.yaml has it."""


@dataclass(frozen=True)
class Row:
    """What the students of one recipe reach with some labels, by seed."""

    labels: str
    recipe: str
    steps: int
    losses: bool
    reached: Mapping[int, Repeat]


def measured(labels: str, texts: Sequence[str], given: argparse.Namespace) -> Iterator[Row]:
    """Train what is missing of the rows of one data set.

    Args:
        labels: few, unlabelled or all.
        texts: the recipes.
        given: the command's.
    """
    with Run.open(HERE / FILES[labels], home=given.home, console=Console(stderr=True)) as run:
        recipes = recipes_of(run, texts)
        told, subset = Values.read(run.values), run.subset
        per_epoch = math.ceil(len(_read(part(subset, "train").annotations)["images"]) / BATCH)
        epochs = max(1, round(given.steps / per_epoch))
        trainings = Trainings(told.pair, replace(told.training, epochs=epochs), subset)
        entries = {
            one.name: [Entry(one.name, one.recipe, int(seed), one.inherit is not False, one.unlabelled) for seed in given.seeds.split(",")]
            for one in recipes
        }
        trainings.run([entry for own in entries.values() for entry in own], jobs=given.jobs, show=lambda line: print(line, flush=True))
        images = Images(_read(part(subset, "test").annotations))
        for one in recipes:
            reached = {entry.seed: images.repeat(trainings.detections(entry)) for entry in entries[one.name]}
            yield Row(labels, one.name, epochs * per_epoch, bool(one.recipe.active), reached)


def _read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text()))


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Markdown: test AP in points seed by seed, the difference to few labels, and the share of the gap that is closed."""
    few = next(row for row in rows if row.labels == "few" and row.losses)
    every = next((row for row in rows if row.labels == "all"), None)
    yield f"| labels | recipe | steps | test AP, seed by seed | mean | over {few.recipe} with few labels, 95 % | share of the gap |"
    yield "|---|---|---:|---|---:|---|---:|"
    for row in rows:
        points = ", ".join(f"{100 * repeat.figures['AP']:.1f}" for repeat in row.reached.values())
        mean, _ = mean_and_spread(list(row.reached.values()), "AP")
        over = difference(row, few)
        share = f"{over.difference / difference(every, few).difference:.2f}" if every and row.labels == "unlabelled" else ""
        interval = "" if row is few else f"{100 * over.difference:+.1f} ({100 * over.low:+.1f} to {100 * over.high:+.1f})"
        yield f"| {row.labels} | {row.recipe} | {row.steps} | {points} | {100 * mean:.1f} | {interval} | {share} |"


def difference(row: Row, other: Row) -> Gap:
    """In AP, over the seeds of both."""
    common = sorted(row.reached.keys() & other.reached.keys())
    return gap([row.reached[seed] for seed in common], [other.reached[seed] for seed in common], "AP")


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="+")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--home", type=Path, default=Path(".detkds"))
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    asked = [(labels, recipe.strip()) for labels, _, recipe in (text.partition(":") for text in given.rows)]
    if wrong := [labels for labels, _ in asked if labels not in FILES]:
        parser.error(f"a row begins with {', '.join(FILES)} and a colon, got {wrong[0]!r}")
    if not any(labels == "few" and recipe not in REFERENCES for labels, recipe in asked):
        parser.error("a row of few labels with losses is needed, which the others are compared with")
    rows = [row for own in FILES if (texts := [text for labels, text in asked if labels == own]) for row in measured(own, texts, given)]
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
