"""Several runs side by side: tables of what they reach, with what, and at what cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from detkds.evaluation.result import Comparison, Role
from detkds.evaluation.scores import Scores
from detkds.genome import Knowledge
from detkds.genome.genome import format_weight
from detkds.report.data import ReportData
from detkds.report.tables.costs import total_seconds
from detkds.report.tables.table import Column, Table
from detkds.report.text import MISSING, change, count, duration, percent, points, span

TEST_SET = ("annotations (sha256)", "test.json")
"""Where a run's provenance names the test set."""


@dataclass(frozen=True)
class Run:
    """A run under its name in the comparison."""

    label: str
    data: ReportData

    @property
    def kind(self) -> str:
        """What is compared: boxes, or masks where there is nothing else."""
        return next(iter(self.data.evaluation.kinds), "bbox") if self.data.evaluation else "bbox"

    def scores(self, role: Role) -> Scores | None:
        """What a detector of the run reaches."""
        return self.data.evaluation.scores(role, self.kind) if self.data.evaluation else None

    def ap(self, role: Role) -> float | None:
        """Its AP, None where it is not known."""
        scores = self.scores(role)
        value = scores.figures.get("AP", math.nan) if scores else math.nan
        return value if math.isfinite(value) else None

    @property
    def test(self) -> Comparison | None:
        """The paired test of distillation against none."""
        return self.data.evaluation.comparison(Role.DISTILLED, Role.STUDENT, self.kind) if self.data.evaluation else None


def runs_table(runs: Sequence[Run]) -> Table:
    """AP of each run's detectors, the gain with its interval, and the difference to the first run's distilled student; in points."""
    first = runs[0].ap(Role.DISTILLED)
    rows = []
    for place, run in enumerate(runs):
        distilled = run.scores(Role.DISTILLED)
        bounds = distilled.interval.of("AP") if distilled and distilled.interval else None
        test = run.test
        rows.append(
            (
                run.label,
                percent(run.ap(Role.TEACHER)),
                percent(run.ap(Role.STUDENT)),
                percent(run.ap(Role.DISTILLED)),
                span(bounds),
                change(run.ap(Role.DISTILLED), run.ap(Role.STUDENT)),
                f"{points(test.low)} to {points(test.high)}" if test else MISSING,
                change(run.ap(Role.DISTILLED), first) if place else MISSING,
            )
        )
    numeric = (("teacher", "number"), ("student", "number"), ("distilled", "number"), ("its interval", "number"))
    gains = (Column("gain", "change"), Column("its interval", "number"), Column("to the first", "change"))
    return Table((Column("run"), *(Column(name, "number") for name, _ in numeric), *gains), tuple(rows))


def figures_table(runs: Sequence[Run]) -> Table:
    """The 12 COCO figures of the distilled students, in percent."""
    scores = [run.scores(Role.DISTILLED) for run in runs]
    names = list(dict.fromkeys(name for result in scores if result for name in result.figures))
    rows = [(name, *(percent(result.figures.get(name) if result else None) for result in scores)) for name in names]
    return Table((Column("figure"), *(Column(run.label, "number") for run in runs)), tuple(rows))


def recipes_table(runs: Sequence[Run]) -> Table:
    """The losses of each run, one line per knowledge."""
    rows = []
    for knowledge in Knowledge:
        found = [_losses(run, knowledge) for run in runs]
        if any(found):
            rows.append((str(knowledge), *(text or MISSING for text in found)))
    return Table((Column("knowledge"), *(Column(run.label, "code") for run in runs)), tuple(rows))


def _losses(run: Run, knowledge: Knowledge) -> str:
    """The genomes of one knowledge, a line each, without its name."""
    active = run.data.recipe.active if run.data.recipe else ()
    return "\n".join(str(genome).partition(": ")[2] for genome in active if genome.knowledge is knowledge)


def weights_line(run: Run) -> str:
    """A recipe in a few words: global 6, fgbg 2."""
    recipe = run.data.recipe
    active = recipe.active if recipe else ()
    return ", ".join(f"{genome.knowledge} {format_weight(genome.weight)}" for genome in active) or "no distillation"


def searches_table(runs: Sequence[Run]) -> Table:
    """The gain of each search over no distillation, in points of its score, and its candidates."""
    names = list(dict.fromkeys(study.name for run in runs for study in run.data.searches))
    rows = []
    for name in names:
        found = [next((study for study in run.data.searches if study.name == name), None) for run in runs]
        cells = [(points(study.gain) if study and study.gain is not None else MISSING) for study in found]
        sizes = [count(len(study.trials)) if study else MISSING for study in found]
        rows.append((name, *(cell for pair in zip(cells, sizes, strict=True) for cell in pair)))
    heads = [head for run in runs for head in (Column(run.label, "change"), Column("candidates", "number"))]
    return Table((Column("search"), *heads), tuple(rows))


def race_table(name: str, runs: Sequence[Run]) -> Table:
    """Each candidate of a study that was better than all before it, run by run."""
    rows = [
        (run.label, str(number), percent(score))
        for run in runs
        for study in run.data.searches
        if study.name == name
        for number, score in study.best_so_far()
    ]
    return Table((Column("run"), Column("candidate", "number"), Column("best score so far", "number")), tuple(rows))


def costs_table(runs: Sequence[Run]) -> Table:
    """What each stage of each run took."""
    stages = list(dict.fromkeys(cost.stage for run in runs for cost in run.data.costs))
    known = [{cost.stage: cost.seconds for cost in run.data.costs} for run in runs]
    rows = [(stage, *(duration(costs.get(stage)) for costs in known)) for stage in stages]
    if rows:
        rows.append(("all", *(duration(total_seconds(run.data.costs)) for run in runs)))
        rows.append(("student steps", *(count(sum(cost.student_steps or 0 for cost in run.data.costs)) for run in runs)))
    return Table((Column("stage"), *(Column(run.label, "number") for run in runs)), tuple(rows))


def differing(runs: Sequence[Run]) -> Table:
    """What the provenance of the runs does not share."""
    keys = list(dict.fromkeys((heading, key) for run in runs for heading, entries in run.data.provenance.items() for key in entries))
    rows = []
    for heading, key in keys:
        values = [run.data.provenance.get(heading, {}).get(key, MISSING) for run in runs]
        if len(set(values)) > 1:
            rows.append((f"{heading}: {key}", *values))
    return Table((Column("from"), *(Column(run.label) for run in runs)), tuple(rows))


def same_test_set(runs: Sequence[Run]) -> bool:
    """False where the runs were certainly evaluated on different images."""
    heading, key = TEST_SET
    digests = {run.data.provenance.get(heading, {}).get(key) for run in runs} - {None}
    images = {run.data.evaluation.images for run in runs if run.data.evaluation}
    return len(digests) < 2 and len(images) < 2
