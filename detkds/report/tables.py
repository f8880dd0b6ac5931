"""The tables of a report, as text in cells; the page and the Markdown file show the same ones."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from detkds.report.data import Detector, ReportData, Role, Study, TrialPoint
from detkds.report.text import MISSING, change, count, duration, percent

Look = Literal["text", "code", "number", "change", "share"]

FIGURE_MEANINGS = {
    "AP": "IoU .50 to .95",
    "AP50": "IoU .50",
    "AP75": "IoU .75",
    "APs": "small, under 32² pixels",
    "APm": "medium, 32² to 96²",
    "APl": "large, over 96²",
    "AR1": "recall, 1 detection an image",
    "AR10": "recall, 10 detections",
    "AR100": "recall, 100 detections",
    "ARs": "recall, small",
    "ARm": "recall, medium",
    "ARl": "recall, large",
}
TITLES = {Role.TEACHER: "teacher", Role.BASELINE: "student", Role.DISTILLED: "distilled student"}
"""The roles as column titles, short enough for a phone."""
REASONS = {
    "nan": "the loss is not a number",
    "infinite": "the loss is infinite",
    "too-large": "the loss is over 100",
    "zero-gradient": "the loss moves no weight of the student",
    "ascending": "a step along the gradient makes the loss larger",
    "out-of-memory": "the device's memory does not suffice",
    "raised": "the loss stopped with an error",
    "failed": "the training stopped with an error",
}
"""The kinds of detkds.errors.Rejected in words."""


@dataclass(frozen=True)
class Column:
    """A heading and how its cells look: `change` is a signed difference, `share` a percentage drawn as a bar."""

    title: str
    look: Look = "text"


@dataclass(frozen=True)
class Table:
    """Cells as text, row by row. `left_out` counts rows that did not fit."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0

    @property
    def gaps(self) -> bool:
        """True where a number is missing."""
        return any(text == MISSING for row in self.rows for text in row)

    def head(self, limit: int) -> Table:
        """The first `limit` rows."""
        return Table(self.columns, self.rows[:limit], self.left_out + max(0, len(self.rows) - limit))


def figures(data: ReportData) -> Table:
    """The 12 COCO figures of each detector in percent, and what distillation changes."""
    names = _union(detector.scores.figures for detector in data.detectors)
    rows = [(name, *_compare(data, [d.scores.figures.get(name) for d in data.ranked]), FIGURE_MEANINGS.get(name, "")) for name in names]
    return Table((Column("figure"), *_detector_columns(data), Column("of")), tuple(rows))


def classes(data: ReportData) -> Table:
    """AP of each class in percent, the greatest gain first."""
    names = _union(detector.scores.per_class for detector in data.detectors)
    values = {name: [detector.scores.per_class.get(name) for detector in data.ranked] for name in names}
    order = sorted(names, key=lambda name: -_gain(data, values[name]))
    rows = [(name, *_compare(data, values[name])) for name in order]
    return Table((Column("class"), *_detector_columns(data)), tuple(rows))


def precision_recall(data: ReportData) -> Table:
    """The PR curves at every tenth recall, in percent."""
    series = [(iou, detector) for iou in curve_thresholds(data) for detector in data.ranked if iou in detector.scores.curves]
    columns = (
        Column("recall", "number"),
        *(Column(f"{TITLES[detector.role]} at IoU {iou.lstrip('0')}", "number") for iou, detector in series),
    )
    rows = [(str(recall), *(percent(_at(detector.scores.curves[iou], recall)) for iou, detector in series)) for recall in range(0, 101, 10)]
    return Table(columns, tuple(rows) if series else ())


def curve_thresholds(data: ReportData) -> list[str]:
    """IoU thresholds that some detector has a curve for."""
    return _union(detector.scores.curves for detector in data.detectors)


def studies(data: ReportData) -> Table:
    """One line a search: what the best candidate gains over no distillation, and how many candidates ended how."""
    counted = ("candidates", "scored", "rejected", "failed")
    columns = (Column("no distillation", "number"), Column("best", "number"), Column("gain", "change"))
    rows = tuple(_study_row(study) for study in data.studies)
    return Table((Column("search"), *columns, *(Column(title, "number") for title in counted)), rows)


def _study_row(study: Study) -> tuple[str, ...]:
    best = study.best.score if study.best else None
    ended = (count(study.states[state]) for state in ("complete", "rejected", "failed"))
    scores = (percent(study.without_distillation), percent(best), change(best, study.without_distillation))
    return (study.name, *scores, count(len(study.trials)), *ended)


def trials(study: Study) -> Table:
    """Every candidate of a search in its order."""
    columns = (
        Column("no.", "number"),
        Column("candidate", "code"),
        Column("AP", "number"),
        Column("gain", "change"),
        Column("outcome"),
        Column("time", "number"),
    )
    return Table(columns, tuple(_trial_row(trial, study) for trial in study.trials))


def _trial_row(trial: TrialPoint, study: Study) -> tuple[str, ...]:
    outcome = trial.reason or trial.state.lower()
    if trial.partial:
        outcome = "validation stopped early, the AP is a bound"
    elif trial is study.best:
        outcome = "best"
    gain = MISSING if trial.number == 0 else change(trial.score, study.without_distillation)
    return (str(trial.number), trial.text, percent(trial.score), gain, outcome, duration(trial.seconds))


def rejections(data: ReportData) -> Table:
    """Candidates that were rejected or failed, by reason, the most frequent first; one of them as an example."""
    where: dict[str, Counter[str]] = defaultdict(Counter)
    example: dict[str, str] = {}
    for study in data.studies:
        for trial in study.trials:
            if trial.state.lower() in ("rejected", "failed"):
                where[trial.kind][study.name] += 1
                example.setdefault(trial.kind, trial.text)
    order = sorted(where, key=lambda kind: -where[kind].total())
    rows = [
        (
            kind,
            REASONS.get(kind, ""),
            count(where[kind].total()),
            ", ".join(f"{name} {times}" for name, times in where[kind].items()),
            example[kind],
        )
        for kind in order
    ]
    columns = (Column("reason"), Column("meaning"), Column("candidates", "number"), Column("where"), Column("for example", "code"))
    return Table(columns, tuple(rows))


def costs(data: ReportData) -> Table:
    """Wall-clock time, its share and the student's training steps of each stage, and their sums."""
    columns = (Column("stage"), Column("time", "number"), Column("share", "share"), Column("student steps", "number"))
    total = sum(cost.seconds for cost in data.costs if cost.seconds is not None and math.isfinite(cost.seconds))
    rows = [(cost.stage, duration(cost.seconds), _share(cost.seconds, total), count(cost.student_steps)) for cost in data.costs]
    steps = [cost.student_steps for cost in data.costs if cost.student_steps is not None]
    if len(rows) > 1:
        rows.append(("all", duration(total), "", count(sum(steps) if steps else None)))
    return Table(columns, tuple(rows))


def _share(part: float | None, whole: float) -> str:
    return f"{100 * part / whole:.0f}%" if part is not None and math.isfinite(part) and whole > 0 else ""


def _detector_columns(data: ReportData) -> list[Column]:
    columns = [Column(TITLES[detector.role], "number") for detector in data.ranked]
    return [*columns, Column("gain", "change")] if _pair(data) else columns


def _compare(data: ReportData, values: list[float | None]) -> list[str]:
    """Values of the ranked detectors as text, and the gain where both students are there."""
    cells = [percent(value) for value in values]
    places = _pair(data)
    return [*cells, change(values[places[1]], values[places[0]])] if places else cells


def _gain(data: ReportData, values: list[float | None]) -> float:
    """What orders the classes: the gain, else the last detector's AP; minus infinity where unknown."""
    places = _pair(data)
    after = values[places[1] if places else -1]
    before = values[places[0]] if places else 0.0
    known = after is not None and before is not None and math.isfinite(after - before)
    return after - before if known and after is not None and before is not None else -math.inf


def _pair(data: ReportData) -> tuple[int, int] | None:
    """Places of the student without distillation and the distilled one among the ranked detectors."""
    roles = [detector.role for detector in data.ranked]
    return (roles.index(Role.BASELINE), roles.index(Role.DISTILLED)) if {Role.BASELINE, Role.DISTILLED} <= set(roles) else None


def _at(curve: tuple[float, ...], recall: int) -> float:
    return curve[round(recall / 100 * (len(curve) - 1))] if curve else math.nan


def _union(mappings: Iterable[Iterable[str]]) -> list[str]:
    """Keys of all mappings, each once, in the order of their first appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def headline(detector: Detector) -> str:
    """The AP of a detector in percent."""
    return percent(detector.scores.figures.get("AP"))
