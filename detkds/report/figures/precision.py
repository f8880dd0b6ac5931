"""Precision over recall."""

from __future__ import annotations

from detkds.evaluation.result import Analysis
from detkds.report import tables
from detkds.report.figures.figure import Figure, Key
from detkds.report.figures.plot import Plot, Point, linear
from detkds.report.series import looks, title
from detkds.report.tables.curves import drawn


def precision_recall(evaluation: Analysis, kind: str, iou: str) -> Figure | None:
    """The curves of all detectors at one IoU threshold, the mean over classes; None where none has that curve."""
    curves = {name: scores.curves[iou] for name, scores in evaluation.all_scores(kind).items() if drawn(scores.curves.get(iou, ()))}
    if not curves:
        return None
    plot = Plot(f"Precision over recall at IoU {iou}", linear(0, 100, "recall, %"), linear(0, 101, "precision, %"))
    styles = looks(curves)
    for name, curve in curves.items():
        plot.line(curve_points(curve), styles[name])
    legend = tuple(Key(styles[name], "line", title(name)) for name in curves)
    return Figure(
        f"Precision over recall at IoU {iou.lstrip('0')}",
        plot,
        "Mean over the classes.",
        tables.precision_recall(evaluation, kind, iou),
        legend,
    )


def curve_points(curve: tuple[float, ...]) -> list[Point]:
    """A curve at equally spaced recalls from 0 to 1, in percent."""
    return [(100 * place / (len(curve) - 1), 100 * value) for place, value in enumerate(curve)]
