"""The result of trainings: figures of each recipe over its seeds, and differences from none and from inherit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkds.evaluation import Kind
from detkds.evaluation.engine import FIGURES
from detkds.evaluation.repeated import Gap, Images, Repeat, gap, mean_and_spread
from detkds.pipeline.measurement import has_masks
from detkds.pipeline.subset import part
from detkds.reading import or_null
from detkds.search.trial import Trial

if TYPE_CHECKING:
    from detkds.experiments.trainings import Entry, Trainings  # it needs torch, a comparison does not

SCHEMA = "detkds.comparison/1"
NONE, INHERIT = "none", "inherit"
REFERENCES = (NONE, INHERIT)
"""Recipes that the others are measured against, where they are there."""
METHOD = (
    "Differences are paired: equal seeds mean equal first weights, order of images and augmentations. The interval adds the variance over "
    "seeds (of S seeds, divided by S) and that over images (bootstrap of the mean over seeds, 1000 resamples of the test images, the same "
    "for all), and takes Student's t with Welch and Satterthwaite's degrees of freedom, S - 1 for the seeds. With one seed it holds "
    "nothing about other seeds."
)


@dataclass(frozen=True)
class Row:
    """One recipe.

    Args:
        name: for people.
        recipes: by seed; one for all seeds but where a search found one for each.
        inherit: whether the student started from the teacher's neck and head.
        repeats: kind to seed to what was measured.
        rejected: seed to why it could not be trained.
    """

    name: str
    recipes: Mapping[int, str]
    inherit: bool
    repeats: Mapping[Kind, Mapping[int, Repeat]]
    rejected: Mapping[int, str]

    def to_json(self) -> dict[str, Any]:
        """A JSON object; nan is null."""
        kinds = {kind: _figures(repeats) for kind, repeats in self.repeats.items() if repeats}
        return {
            "name": self.name,
            "recipes": {str(seed): recipe for seed, recipe in self.recipes.items()},
            "inherit": self.inherit,
            "kinds": kinds,
            "rejected": {str(seed): reason for seed, reason in self.rejected.items()},
        }


@dataclass(frozen=True)
class Difference:
    """`a` less `b`, over the seeds that both have."""

    a: str
    b: str
    kind: Kind
    figure: str
    gap: Gap

    def to_json(self) -> dict[str, Any]:
        """A JSON object; nan is null."""
        return {"a": self.a, "b": self.b, "kind": self.kind, "figure": self.figure, **self.gap.to_json()}


@dataclass(frozen=True)
class Comparison:
    """The result of several trainings.

    Args:
        run: its name.
        images: of the test set.
        epochs: of every training.
        rows: in the order in which the recipes were given.
        differences: in AP and AP50, over none and over inherit.
        teacher: the teacher's figures by kind.
        left_out: recipe to why it was not trained.
    """

    run: str
    images: int
    epochs: int
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    teacher: Mapping[Kind, Mapping[str, float]]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON object with the schema; AP in [0, 1], nan is null."""
        return {
            "schema": SCHEMA,
            "run": self.run,
            "images": self.images,
            "epochs": self.epochs,
            "method": METHOD,
            "teacher": {kind: _nulls(figures) for kind, figures in self.teacher.items()},
            "recipes": [row.to_json() for row in self.rows],
            "differences": [difference.to_json() for difference in self.differences],
            "left_out": dict(self.left_out),
        }

    def difference(self, a: str, b: str, kind: Kind, figure: str = "AP") -> Gap | None:
        """The difference of two recipes; None where there is none."""
        found = (one.gap for one in self.differences if (one.a, one.b, one.kind, one.figure) == (a, b, kind, figure))
        return next(found, None)


def conclude(
    run: str, trainings: Trainings, entries: Sequence[Entry], trials: Mapping[str, Trial], left_out: Mapping[str, str] | None = None
) -> Comparison:
    """Measure what the trained students found; entries of one name and several seeds are one row."""
    truth = json.loads(_truth(trainings).read_text())
    kinds: tuple[Kind, ...] = ("bbox", "segm") if has_masks(truth) else ("bbox",)
    images: dict[Kind, Images] = {kind: Images(truth, kind) for kind in kinds}
    rows = tuple(_row(list(group), trainings, trials, images) for _, group in groupby(entries, key=lambda entry: entry.name))
    taught = trainings.teacher()
    teacher = {} if taught is None else {kind: images[kind].repeat(taught).figures for kind in kinds if _has(taught, kind)}
    epochs = trainings.context.schedule.epochs
    return Comparison(run, len(truth["images"]), epochs, rows, tuple(_differences(rows, kinds)), teacher, left_out or {})


def _truth(trainings: Trainings) -> Path:
    return part(trainings.context.subset, "test").annotations


def _row(entries: Sequence[Entry], trainings: Trainings, trials: Mapping[str, Trial], images: Mapping[Kind, Images]) -> Row:
    found = {entry.seed: trainings.detections(entry) for entry in entries if trials[entry.id].score is not None}
    repeats = {kind: {seed: one.repeat(some) for seed, some in found.items() if _has(some, kind)} for kind, one in images.items()}
    rejected = {entry.seed: str(trials[entry.id].reason) for entry in entries if trials[entry.id].score is None}
    return Row(entries[0].name, {entry.seed: str(entry.recipe) for entry in entries}, entries[0].inherit, repeats, rejected)


def _has(detections: Sequence[Mapping[str, Any]], kind: Kind) -> bool:
    """Boxes always; masks where there are any."""
    return kind == "bbox" or any("segmentation" in detection for detection in detections)


def _differences(rows: Sequence[Row], kinds: Sequence[Kind]) -> Iterator[Difference]:
    for kind in kinds:
        for reference in (row for name in REFERENCES for row in rows if row.name == name):
            for row in rows:
                common = [seed for seed in row.repeats[kind] if seed in reference.repeats[kind]]
                if row is not reference and (row.name, reference.name) != (NONE, INHERIT) and common:
                    ours, theirs = ([one.repeats[kind][seed] for seed in common] for one in (row, reference))
                    for figure in ("AP", "AP50"):
                        yield Difference(row.name, reference.name, kind, figure, gap(ours, theirs, figure))


def _figures(repeats: Mapping[int, Repeat]) -> dict[str, Any]:
    values = list(repeats.values())
    means = {figure: mean_and_spread(values, figure) for figure in FIGURES}
    return {
        "mean": {figure: or_null(mean) for figure, (mean, _) in means.items()},
        "spread": {figure: or_null(spread) for figure, (_, spread) in means.items()},
        "seeds": {str(seed): _nulls(repeat.figures) for seed, repeat in repeats.items()},
    }


def _nulls(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: or_null(value) for name, value in figures.items()}
