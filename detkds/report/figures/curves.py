"""Loss curves of the trainings."""

from __future__ import annotations

from collections.abc import Sequence

from detkds.report.curve import LossCurve
from detkds.report.figures.figure import Figure, Key
from detkds.report.figures.plot import Plot, linear
from detkds.report.series import long_title, looks
from detkds.report.tables.table import Column, Table


def losses(curves: Sequence[LossCurve]) -> Figure | None:
    """The loss of each training over its steps; None where no training has two points."""
    known = [curve for curve in curves if len(curve.points) > 1]
    if not known:
        return None
    last = max(step for curve in known for step, _ in curve.points)
    highest = max(loss for curve in known for _, loss in curve.points)
    plot = Plot("Loss over the steps of the training", linear(0, last, "step", grid=False), linear(0, 1.05 * highest, "loss"))
    drawn = looks(curve.name for curve in known)
    for curve in known:
        plot.line(curve.points, drawn[curve.name])
    legend = tuple(Key(drawn[curve.name], "line", long_title(curve.name)) for curve in known)
    caption = "The sum of all losses of a step. With distillation it has more terms, so the curves may differ in height."
    return Figure("Loss of the final trainings", plot, caption, _numbers(known), legend)


def _numbers(curves: Sequence[LossCurve]) -> Table:
    columns = (Column("training"), Column("step", "number"), Column("loss", "number"))
    rows = tuple((long_title(curve.name), f"{step:,}", f"{loss:.4f}") for curve in curves for step, loss in curve.points)
    return Table(columns, rows)
