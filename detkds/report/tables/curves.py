"""The numbers behind the precision-recall curves (Figure 7) and the bars of error kinds (Figure 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from detkds.evaluation.result import Analysis
from detkds.evaluation.scores import Scores
from detkds.report.series import title
from detkds.report.tables.table import Column, Table
from detkds.report.text import percent

TIDE = {
    "Cls": "wrong class, right place",
    "Loc": "right class, wrong place",
    "Both": "wrong class and place",
    "Dupe": "found already",
    "Bkg": "nothing is there",
    "Miss": "object not found",
    "FalsePos": "all false positives",
    "FalseNeg": "all false negatives",
}
ERROR_CURVES = {
    "C75": "IoU .75",
    "C50": "IoU .50",
    "Loc": "place ignored (IoU .1)",
    "Sim": "classes of one supercategory taken as one",
    "Oth": "all classes taken as one",
    "BG": "no false positive on the background",
    "FN": "nothing missed",
}
"""What each curve of Figure 7 forgives, each beside what those before it forgive."""


def precision_recall(evaluation: Analysis, kind: str, iou: str) -> Table:
    """The curves at one IoU threshold, at every tenth recall, in percent."""
    curves = {name: scores.curves[iou] for name, scores in evaluation.all_scores(kind).items() if drawn(scores.curves.get(iou, ()))}
    rows = [(str(recall), *(percent(_at(curve, recall)) for curve in curves.values())) for recall in range(0, 101, 10)]
    columns = (Column("recall, %", "number"), *(Column(title(name), "number") for name in curves))
    return Table(columns, tuple(rows) if curves else ())


def tide(evaluation: Analysis, kind: str) -> Table:
    """What each kind of error costs each detector, in points of AP at IoU .5."""
    costs = {name: scores.tide for name, scores in evaluation.all_scores(kind).items() if _distinguished(scores)}
    kinds = list(dict.fromkeys(error for cost in costs.values() for error in cost))
    rows = [(error, *(percent(cost.get(error)) for cost in costs.values()), TIDE.get(error, "")) for error in kinds]
    return Table((Column("error"), *(Column(title(name), "number") for name in costs), Column("meaning")), tuple(rows))


def error_areas(evaluation: Analysis, kind: str) -> Table:
    """Area under each curve of Figure 7, in percent."""
    scores = {name: result for name, result in evaluation.all_scores(kind).items() if any(map(drawn, result.error_curves.values()))}
    rows = [
        (error, *(percent(area(result.error_curves.get(error, ()))) for result in scores.values()), meaning)
        for error, meaning in ERROR_CURVES.items()
    ]
    columns = (Column("curve"), *(Column(title(name), "number") for name in scores), Column("as AP with"))
    return Table(columns, tuple(rows) if scores else ())


def thresholds(evaluation: Analysis, kind: str) -> list[str]:
    """IoU thresholds that some detector has a curve for, at most four."""
    scores = evaluation.all_scores(kind).values()
    return list(dict.fromkeys(iou for result in scores for iou, curve in result.curves.items() if drawn(curve)))[:4]


def area(curve: Sequence[float]) -> float:
    """Mean precision of a curve; nan where it has none."""
    known = [value for value in curve if math.isfinite(value)]
    return fmean(known) if known else math.nan


def drawn(curve: Sequence[float]) -> bool:
    """True where a curve has something to draw."""
    return len(curve) > 1 and any(map(math.isfinite, curve))


def _distinguished(scores: Scores) -> bool:
    return any(map(math.isfinite, scores.tide.values()))


def _at(curve: Sequence[float], recall: int) -> float:
    return curve[round(recall / 100 * (len(curve) - 1))]
