"""Which choices matter for the score."""

from __future__ import annotations

from collections.abc import Sequence

from detkds.genome.decisions import IMAGES
from detkds.report import tables
from detkds.report.figures.figure import Figure, Key
from detkds.report.figures.plot import Plot, categories, linear
from detkds.report.importance import Importance, importances
from detkds.report.study import WEIGHTS, ReportedStudy

ROW = 17


def importance(searches: Sequence[ReportedStudy]) -> Figure | None:
    """One bar per slot of each study: eta², beside the value that chance alone would give; None where no study has enough scores."""
    found = [one for study in searches for one in importances(study)]
    if not found:
        return None
    names = [f"{one.study} · {one.slot}" for one in reversed(found)]
    plot = Plot(
        "Share of the scores' variance that each slot explains",
        linear(0, 1, "η², share of the variance of the scores"),
        categories(names),
        height=46 + ROW * len(found),
        left=142,
    )
    for place, one in enumerate(reversed(found)):
        plot.bar(
            (0, one.share),
            (place - 0.34, place + 0.34),
            "distilled" if one.share > one.chance else "weak",
            f"{one.study} · {one.slot}: {one.share:.2f}, chance below {one.chance:.2f}",
        )
        at = plot.px(one.chance)
        plot.mark("line chance", f"M{at:g} {plot.py(place - 0.45):g}V{plot.py(place + 0.45):g}")
    above = max(found, key=lambda one: one.share - one.chance)
    title = f"The {_name(above)} matters most" if above.share > above.chance else "No choice stands out from chance"
    caption = (
        "η²: the part of the scores' variance that lies between the words of a slot and not within them. The upright line is what "
        "95 of 100 shuffles of the scores stay below: with few candidates even words that do not matter explain much."
    )
    legend = (
        Key("distilled", "bar", "beyond chance"),
        Key("weak", "bar", "not beyond chance"),
        Key("chance", "line", "95 % bound of chance"),
    )
    return Figure(title, plot, caption, tables.importance(found), legend)


def _name(one: Importance) -> str:
    if one.study == WEIGHTS:
        return f"weight of {one.slot}"
    return f"choice of images for {one.study}" if one.slot == IMAGES else f"{one.slot} of {one.study}"
