"""Does the short training order candidates as a longer one does? (Figure 5)"""

from __future__ import annotations

import math
from collections.abc import Sequence

from detkds.report import tables
from detkds.report.correlation import agreement
from detkds.report.data import Fidelity
from detkds.report.figures.figure import Figure
from detkds.report.figures.plot import Plot, linear
from detkds.report.text import percent


def fidelity(pairs: Sequence[Fidelity]) -> Figure | None:
    """Score after the proxy's training against the score after a longer one; None for fewer than two finite pairs."""
    known = [pair for pair in pairs if math.isfinite(pair.proxy) and math.isfinite(pair.longer)]
    if len(known) < 2:
        return None
    points = [(100 * pair.proxy, 100 * pair.longer) for pair in known]
    xs, ys = zip(*points, strict=True)
    room_x, room_y = 0.06 * (max(xs) - min(xs) or 1), 0.06 * (max(ys) - min(ys) or 1)
    x = linear(min(xs) - room_x, max(xs) + room_x, "AP after the short training, %")
    y = linear(min(ys) - room_y, max(ys) + room_y, "AP after the longer, %")
    plot = Plot("Scores after a short and a longer training", x, y)
    labels = [
        f"{pair.candidate}: {percent(pair.proxy)} after the short training, {percent(pair.longer)} after the longer" for pair in known
    ]
    plot.dots(points, "distilled", labels=labels)
    found = agreement(xs, ys)
    title = f"Rank correlation of short and longer training: {_signed(found.spearman)}"
    caption = (
        f"{found.candidates} candidates trained twice. Spearman's ρ {_signed(found.spearman)}, Kendall's τ {_signed(found.kendall)}, "
        f"Pearson's r {_signed(found.pearson)}."
    )
    return Figure(title, plot, caption, tables.search.fidelity(known))


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if math.isfinite(value) else "–"
