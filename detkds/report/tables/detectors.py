"""AP of the detectors: the COCO figures, classes, intervals and paired tests."""

from __future__ import annotations

import math
from collections.abc import Sequence

from detkds.evaluation.result import Analysis, Comparison, Role
from detkds.report.series import title
from detkds.report.tables.table import Column, Table
from detkds.report.text import MISSING, chance, change, percent, points, span

FIGURE_MEANINGS = {
    "AP": "IoU .50 to .95",
    "AP50": "IoU .50",
    "AP75": "IoU .75",
    "APs": "small, under 32² pixels",
    "APm": "medium, 32² to 96²",
    "APl": "large, over 96²",
    "AR1": "recall, 1 detection per image",
    "AR10": "recall, 10 detections",
    "AR100": "recall, 100 detections",
    "ARs": "recall, small",
    "ARm": "recall, medium",
    "ARl": "recall, large",
}
KINDS = {"bbox": "boxes", "segm": "masks"}


def figures(evaluation: Analysis, kind: str) -> Table:
    """The 12 COCO figures of each detector in percent, and what distillation changes."""
    scores = evaluation.all_scores(kind)
    names = list(dict.fromkeys(name for result in scores.values() for name in result.figures))
    rows = [(name, *_compared(tuple(scores), [result.figures.get(name) for result in scores.values()])) for name in names]
    meant = [(*row, FIGURE_MEANINGS.get(row[0], "")) for row in rows]
    return Table((Column("figure"), *_columns(tuple(scores)), Column("of")), tuple(meant))


def classes(evaluation: Analysis, kind: str) -> Table:
    """Objects and AP of each class in percent, the greatest gain first."""
    scores = evaluation.all_scores(kind)
    names = list(dict.fromkeys(name for result in scores.values() for name in result.per_class))
    values = {name: [result.per_class.get(name, {}).get("AP") for result in scores.values()] for name in names}
    objects = {name: [result.per_class.get(name, {}).get("objects", math.nan) for result in scores.values()] for name in names}
    order = sorted(names, key=lambda name: -_gain(tuple(scores), values[name]))
    rows = [(name, _whole(objects[name][0]), *_compared(tuple(scores), values[name])) for name in order]
    return Table((Column("class"), Column("objects", "number"), *_columns(tuple(scores))), tuple(rows))


def intervals(evaluation: Analysis, kind: str) -> Table:
    """AP and AP50 of each detector with their confidence intervals, where they were measured."""
    rows = []
    for name, scores in evaluation.all_scores(kind).items():
        if scores.interval:
            cells = [(percent(scores.figures.get(figure)), span(scores.interval.of(figure))) for figure in ("AP", "AP50")]
            rows.append((title(name), *cells[0], *cells[1]))
    columns = (Column("AP", "number"), Column("its interval", "number"), Column("AP50", "number"), Column("its interval", "number"))
    return Table((Column("detector"), *columns), tuple(rows))


def comparisons(evaluation: Analysis, kind: str) -> Table:
    """The paired tests: difference in points, interval, p and what follows."""
    rows = [
        (
            f"{title(test.a)} − {title(test.b)}",
            test.figure,
            points(test.difference),
            f"{points(test.low)} to {points(test.high)}",
            chance(test.p).removeprefix("p ").removeprefix("= "),
            in_words(test),
        )
        for test in evaluation.tests
        if test.kind == kind
    ]
    numeric = (Column("difference", "change"), Column("its interval", "number"), Column("p", "number"))
    return Table((Column("detectors"), Column("figure"), *numeric, Column("in words")), tuple(rows))


def in_words(test: Comparison) -> str:
    """What a paired test says."""
    if not test.known:
        return "not measured"
    if not test.classes_distinguished:
        return "no difference is shown"
    return f"the {title(test.a if test.difference > 0 else test.b)} is better"


def _columns(names: Sequence[str]) -> list[Column]:
    columns = [Column(title(name), "number") for name in names]
    return [*columns, Column("gain", "change")] if _pair(names) else columns


def _compared(names: Sequence[str], values: Sequence[float | None]) -> list[str]:
    """Values of the detectors as text, and the gain if both students were evaluated."""
    cells = [percent(value) for value in values]
    places = _pair(names)
    return [*cells, change(values[places[1]], values[places[0]])] if places else cells


def _gain(names: Sequence[str], values: Sequence[float | None]) -> float:
    """What orders the classes: the gain, else the last detector's AP; minus infinity where unknown."""
    places = _pair(names)
    after, before = values[places[1] if places else -1], values[places[0]] if places else 0.0
    return -math.inf if after is None or before is None or not math.isfinite(after - before) else after - before


def _pair(names: Sequence[str]) -> tuple[int, int] | None:
    """Places of the student without distillation and the distilled one."""
    both = Role.STUDENT in names and Role.DISTILLED in names
    return (list(names).index(Role.STUDENT), list(names).index(Role.DISTILLED)) if both else None


def _whole(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else MISSING
