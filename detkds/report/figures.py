"""Charts as SVG text that takes its colours from the page, so they follow its light, dark and print dress.

A chart holds numbers and words of ours only: names that come from outside stand in the page's HTML, never in a picture.
The same data give the same bytes.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from detkds.report.data import Detector, Role, Study
from detkds.report.text import clean

INK, MUTED, LINE, REJECTED, GROUND = "#000001", "#000002", "#000003", "#000004", "#000005"
SERIES = {Role.TEACHER: "#000011", Role.BASELINE: "#000012", Role.DISTILLED: "#000013"}
_PAGE_COLOURS = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    REJECTED: "var(--rejected)",
    GROUND: "var(--ground)",
    SERIES[Role.TEACHER]: "var(--teacher)",
    SERIES[Role.BASELINE]: "var(--baseline)",
    SERIES[Role.DISTILLED]: "var(--distilled)",
}
"""Stand-in colours while matplotlib draws, and the style sheet's names put in their place."""

STROKES: dict[Role, str | tuple[int, tuple[float, ...]]] = {Role.TEACHER: (0, (1, 1.2)), Role.BASELINE: (0, (5, 2)), Role.DISTILLED: "-"}
"""Line styles, so that nobody depends on colour."""

_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "svg.fonttype": "none",
}
SIZE_IN = (4.1, 2.6)
"""About the width of a column of the page and of a phone, so that text keeps its size there."""
MAX_POINTS = 600
"""More candidates than this are thinned evenly in the picture; the best-so-far line keeps all its steps."""


def search_curve(study: Study) -> str:
    """Figure 4 of the paper for one study: every candidate, the best so far, and candidate 0 (no distillation) as a line; in percent AP.

    Candidates far below the others stand as triangles on the lower edge, so that they do not flatten the rest.

    Returns:
        SVG text, or "" where no candidate has a score.
    """
    if not any(trial.scored for trial in study.trials):
        return ""
    with _style(f"search {clean(study.name)}"):
        figure, axes = _axes()
        lowest = _lowest_shown([_percent(trial.score) for trial in study.trials if trial.scored], study.without_distillation)
        _draw_candidates(axes, study, lowest)
        _draw_progress(axes, study)
        axes.grid(visible=False, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        last = max(1, study.last)
        axes.set_xlim(-0.03 * last, 1.03 * last)
        axes.margins(y=0.12)
        bottom, top = axes.get_ylim()
        axes.set_ylim(max(bottom, lowest - 0.15 * (top - lowest)), top)
        axes.set_xlabel("candidate")
        axes.set_ylabel("search-val AP, %")
        return _svg(figure, f"Search curve of {len(study.trials)} candidates")


def _draw_candidates(axes: Axes, study: Study, lowest: float) -> None:
    trials = study.trials[:: math.ceil(len(study.trials) / MAX_POINTS)]
    points = [(trial.number, _percent(trial.score), trial.partial) for trial in trials if trial.number and trial.scored]
    for stopped_early, face in ((False, MUTED), (True, GROUND)):
        shown = [(number, score) for number, score, partial in points if partial == stopped_early and score >= lowest]
        numbers, scores = [number for number, _ in shown], [score for _, score in shown]
        axes.scatter(numbers, scores, s=14, facecolors=face, edgecolors=MUTED, linewidths=0.8, zorder=2)
    _mark_on_floor(axes, [number for number, score, _ in points if score < lowest], "v", MUTED)
    _mark_on_floor(axes, [trial.number for trial in trials if trial.state.lower() in ("rejected", "failed")], "x", REJECTED)


def _mark_on_floor(axes: Axes, numbers: Sequence[int], marker: str, colour: str) -> None:
    if numbers:
        heights = [0.03] * len(numbers)
        axes.scatter(numbers, heights, s=14, marker=marker, color=colour, linewidths=1, transform=axes.get_xaxis_transform(), zorder=2)


def _draw_progress(axes: Axes, study: Study) -> None:
    best = study.best_so_far()
    if best:
        numbers, scores = [number for number, _ in best] + [study.last], [100 * score for _, score in best]
        axes.step(numbers, [*scores, scores[-1]], where="post", color=SERIES[Role.DISTILLED], linewidth=2, zorder=4)
    if study.without_distillation is not None:
        style = STROKES[Role.BASELINE]
        axes.axhline(100 * study.without_distillation, color=SERIES[Role.BASELINE], linestyle=style, linewidth=1.6, zorder=3)


def _lowest_shown(scores: Sequence[float], without_distillation: float | None) -> float:
    """The lower end of the scores that are drawn in place: three times as far below the best as the middle one, or candidate 0."""
    best, middle = max(scores), sorted(scores)[len(scores) // 2]
    return min(best - 3 * (best - middle), best if without_distillation is None else 100 * without_distillation)


def average_precisions(detectors: Sequence[Detector]) -> str:
    """Bars of the six AP figures in percent, one colour and hatch a detector; "" without detectors."""
    names = [name for name in (detectors[0].scores.figures if detectors else ()) if name.startswith("AP")]
    if not names:
        return ""
    width = 0.8 / len(detectors)
    with _style("bars"):
        figure, axes = _axes()
        for place, detector in enumerate(detectors):
            heights = [_percent(detector.scores.figures.get(name)) for name in names]
            lefts = [x + (place - (len(detectors) - 1) / 2) * width for x in range(len(names))]
            axes.bar(lefts, heights, width * 0.9, color=SERIES[detector.role])
        axes.set_xticks(range(len(names)), names)
        axes.grid(visible=False, axis="x")
        axes.set_ylim(0, _ceiling(detector.scores.figures.get(name) for detector in detectors for name in names))
        axes.set_ylabel("%")
        return _svg(figure, "Average precisions of the detectors")


def precision_recall(detectors: Sequence[Detector], iou: str) -> str:
    """Precision over recall at one IoU threshold, the mean over classes; "" where no detector has that curve."""
    curves = [(detector.role, detector.scores.curves[iou]) for detector in detectors if iou in detector.scores.curves]
    if not curves:
        return ""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": f"precision {iou}"}):
        figure, axes = _axes()
        for role, curve in curves:
            recall = [100 * place / (len(curve) - 1) for place in range(len(curve))]
            axes.plot(recall, [_percent(value) for value in curve], color=SERIES[role], linestyle=STROKES[role], linewidth=1.8)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 102)
        axes.set_xlabel("recall, %")
        axes.set_ylabel("precision, %")
        return _svg(figure, f"Precision over recall at IoU {iou}")


def _style(salt: str) -> AbstractContextManager[None]:
    """Our dress, and ids that depend on nothing but `salt`, which differs from chart to chart, and on what is drawn."""
    return mpl.rc_context({**_STYLE, "svg.hashsalt": salt})


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE_IN, layout="constrained")
    return figure, figure.subplots()


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * value


def _ceiling(values: Iterable[float | None]) -> float:
    """The bars' upper end: the highest tens above all values, at least 10, at most 100."""
    highest = max((value for value in map(_percent, values) if math.isfinite(value)), default=0)
    return min(100, max(10, 10 * math.ceil(highest / 10 + 0.2)))


def _svg(figure: Figure, label: str) -> str:
    """The drawing as an <svg> element for a page: no XML head, metadata, name space, address or fixed size; page fonts and colours."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    view_box = re.search(r'viewBox="([^"]*)"', text)
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r' id="(?:figure|axes|patch|text|line2d|matplotlib\.axis|xtick|ytick|PathCollection|LineCollection)_\d+"', "", body)
    body = re.sub(r"font-family: [^;\"]*; ", "", body)
    body = body.replace("xlink:href", "href")
    for stand_in, colour in _PAGE_COLOURS.items():
        body = body.replace(stand_in, colour)
    return f'<svg role="img" aria-label="{label}" viewBox="{view_box[1] if view_box else ""}">{body.strip()}'
