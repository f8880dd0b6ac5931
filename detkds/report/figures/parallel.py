"""Parallel coordinates: each candidate a line through its words, or weights, to its score."""

from __future__ import annotations

from collections.abc import Sequence

from detkds.genome import Knowledge
from detkds.genome.decisions import in_order
from detkds.report.figures.figure import Figure, Key
from detkds.report.figures.plot import Axis, Plot, linear
from detkds.report.study import WEIGHTS, ReportedStudy, ReportedTrial, top

MAX_LINES = 200
WORD = 75
"""Width of the space between two axes of words, so that their words do not touch; numbers need less."""
SPREAD = 0.3
"""Lines through the same word are drawn side by side, over this share of the word's space on either side."""


def parallel(study: ReportedStudy) -> Figure | None:
    """The candidates with a score as lines, the good ones in colour, at most 200; None where there are too few."""
    best = top(study.choices)
    if not best:
        return None
    candidates = sorted((pair for pair in study.choices if pair[0].scored), key=lambda pair: pair[0].score or 0.0)[-MAX_LINES:]
    words = [_words(study, candidates, place) for place in range(len(study.slots))]
    scores = [100 * (trial.score or 0.0) for trial, _ in candidates]
    y = linear(min(scores), max(scores), grid=False)
    names = (*study.slots, f"{study.word}, %")
    x = Axis(0, len(study.slots), tuple(enumerate(names)), grid=True)
    width = 380.0 if study.name == WEIGHTS else 380.0 + WORD * max(0, len(study.slots) - 4)
    flat = Axis(y.low, y.high, (), grid=False)
    plot = Plot(
        "Words of each candidate and its score", x, flat, width=width, height=300 * width / 380, left=40, right=40, bottom=26, top=8
    )
    for rank, (trial, chosen) in enumerate(candidates):
        at = rank / max(1, len(candidates) - 1) * 2 - 1
        places = [_height(words[slot], word, at * SPREAD) for slot, word in enumerate(chosen)]
        heights = [plot.bottom + place * (plot.top - plot.bottom) for place in places] + [plot.py(100 * (trial.score or 0.0))]
        plot.mark(f"thread {'distilled' if any(trial is good for good, _ in best) else 'muted'}", _curve(plot, heights))
    for slot, known in enumerate(words):
        for word in known:
            plot.write((slot, y.low + _height(known, word, 0) * (y.high - y.low)), word, "word", dy=3)
    for value, label in y.ticks:
        plot.write((len(study.slots), value), label, "tick", anchor="start", dx=6, dy=3)
    legend = (Key("distilled", "line", f"top {len(best)}"), Key("muted", "thread", "other candidates with a score"))
    return Figure(f"{study.name}: what leads to which score", plot, "", legend=legend)


def _words(study: ReportedStudy, candidates: Sequence[tuple[ReportedTrial, tuple[str, ...]]], place: int) -> list[str]:
    """The words that occur in a slot, in the vocabulary's order, weights by size."""
    used = {words[place] for _, words in candidates}
    if study.name == WEIGHTS:
        return sorted(used, key=float)
    return in_order(Knowledge(study.name), study.slots[place], used)


def _height(words: Sequence[str], word: str, shift: float) -> float:
    """Position of a word on its axis, 0 to 1."""
    return (words.index(word) + 0.5 + shift) / len(words)


def _curve(plot: Plot, heights: Sequence[float]) -> str:
    """A smooth path through heights at the axes."""
    places = [plot.px(place) for place in range(len(heights))]
    path = f"M{places[0]:g} {heights[0]:.1f}"
    for (x, y), (before, last) in zip(zip(places[1:], heights[1:], strict=True), zip(places, heights, strict=False), strict=False):
        middle = (before + x) / 2
        path += f"C{middle:g} {last:.1f} {middle:g} {y:.1f} {x:g} {y:.1f}"
    return path
