"""Where the detectors fail: the costs of the kinds of error (Figure 6), and precision if they were forgiven (Figure 7)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from detkds.evaluation.result import Analysis, Role
from detkds.evaluation.scores import Scores
from detkds.report import tables
from detkds.report.figures.figure import Figure, Key
from detkds.report.figures.plot import Plot, categories, linear
from detkds.report.figures.precision import curve_points
from detkds.report.series import looks, title
from detkds.report.tables.curves import ERROR_CURVES, area, drawn
from detkds.report.text import percent

STACKS = (
    "Precision if errors were forgiven kind by kind. Lowest, the curve at IoU .75 (C75); above it, at IoU .5 (C50), then with errors of "
    "place (Loc), of similar (Sim) and of other classes (Oth), on the background (BG) and missed objects (FN) forgiven in turn. The number "
    "is the area under the curve."
)
"""What the stacks of all detectors show."""
SHORT = {"FalsePos": "FP", "FalseNeg": "FN"}
IN_WORDS = {
    "Cls": "detections of a wrong class",
    "Loc": "detections in a wrong place",
    "Both": "detections of a wrong class in a wrong place",
    "Dupe": "duplicate detections",
    "Bkg": "detections on the background",
    "Miss": "missed objects",
}
"""TIDE's kinds of error in a sentence."""


def tide(evaluation: Analysis, kind: str) -> Figure | None:
    """Bars of the AP that each kind of error costs each detector; None where it was not measured."""
    costs = {name: scores.tide for name, scores in evaluation.all_scores(kind).items() if any(map(math.isfinite, scores.tide.values()))}
    if not costs:
        return None
    kinds = list(dict.fromkeys(error for cost in costs.values() for error in cost))
    highest = max(value for cost in costs.values() for value in cost.values() if math.isfinite(value))
    y = linear(0, max(1, 105 * highest), "AP lost, points")
    plot = Plot("AP lost to each kind of error", categories([SHORT.get(error, error) for error in kinds]), y, bottom=26)
    drawn_as = looks(costs)
    width = 0.8 / len(costs)
    for place, (name, cost) in enumerate(costs.items()):
        for x, error in enumerate(kinds):
            left = x - 0.4 + place * width
            value = cost.get(error, math.nan)
            plot.bar((left, left + 0.92 * width), (0, 100 * value), drawn_as[name], f"{title(name)}, {error}: {percent(value)} points")
    legend = tuple(Key(drawn_as[name], "bar", title(name)) for name in costs)
    caption = (
        "How many points of AP at IoU .5 the detector would gain if the errors of one kind were put right (TIDE): wrong class, wrong "
        "place, both, duplicate, background, missed; then all false positives (FP) and false negatives (FN)."
    )
    return Figure(_finding(costs), plot, caption, tables.tide(evaluation, kind), legend)


def _finding(costs: Mapping[str, Mapping[str, float]]) -> str:
    """Which kind distillation changes most."""
    before, after = costs.get(Role.STUDENT), costs.get(Role.DISTILLED)
    changes = {error: after.get(error, math.nan) - before[error] for error in before if error not in SHORT} if before and after else {}
    known = {error: value for error, value in changes.items() if math.isfinite(value)}
    if not known:
        return "What each kind of error costs"
    error = max(known, key=lambda name: abs(known[name]))
    if percent(abs(known[error])) == percent(0.0):
        return "Each kind of error costs the same with distillation as without"
    worse = "more" if known[error] > 0 else "less"
    return f"With distillation, {IN_WORDS.get(error, error)} cost {percent(abs(known[error]))} points {worse}: the largest change"


def error_stacks(evaluation: Analysis, kind: str) -> list[Figure]:
    """One figure per detector: precision over recall, and what it becomes when errors are forgiven kind by kind."""
    scores = {name: result for name, result in evaluation.all_scores(kind).items() if any(map(drawn, result.error_curves.values()))}
    return [_stack(name, result) for name, result in scores.items()]


def _stack(name: str, scores: Scores) -> Figure:
    curves = {error: scores.error_curves[error] for error in ERROR_CURVES if drawn(scores.error_curves.get(error, ()))}
    plot = Plot("Precision over recall with errors forgiven kind by kind", linear(0, 100, "recall, %"), linear(0, 101, "precision, %"))
    lower = [(0.0, 0.0), (100.0, 0.0)]
    for error, curve in curves.items():
        upper = [(x, y if math.isfinite(y) else 0.0) for x, y in curve_points(curve)]
        plot.area(upper, lower, f"stack{list(ERROR_CURVES).index(error) + 1}")
        lower = upper
    legend = tuple(
        Key(f"stack{list(ERROR_CURVES).index(error) + 1}", "area", f"{error} {100 * area(curve):.1f}") for error, curve in curves.items()
    )
    return Figure(f"Precision and forgiven errors: {title(name)}", plot, "", legend=legend)
