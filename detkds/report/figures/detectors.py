"""AP of the detectors: bars of the average precisions, intervals, and differences with theirs."""

from __future__ import annotations

import math
from collections.abc import Iterable

from detkds.evaluation.result import Analysis, Comparison
from detkds.evaluation.scores import Scores
from detkds.report import tables
from detkds.report.figures.figure import Figure, Key
from detkds.report.figures.plot import Plot, Shape, categories, linear
from detkds.report.series import looks, title
from detkds.report.tables.detectors import KINDS, in_words
from detkds.report.text import percent, points, short

MARKERS: tuple[Shape, ...] = ("square", "diamond", "dot")
ROW = 34
"""Height of a row of a chart with names on its left."""


def average_precisions(evaluation: Analysis, kind: str) -> Figure | None:
    """Bars of the six AP figures in percent; None without figures."""
    scores = evaluation.all_scores(kind)
    names = list(dict.fromkeys(name for result in scores.values() for name in result.figures if name.startswith("AP")))
    if not names:
        return None
    y = linear(0, _ceiling(result.figures.get(name) for result in scores.values() for name in names), "AP, %")
    plot = Plot("Average precisions of the detectors", categories(names), y, bottom=26)
    drawn = looks(scores)
    width = 0.8 / len(scores)
    for place, (detector, result) in enumerate(scores.items()):
        for x, name in enumerate(names):
            left = x - 0.4 + place * width
            label = f"{title(detector)}, {name}: {percent(result.figures.get(name))}"
            plot.bar((left, left + 0.92 * width), (0, _percent(result.figures.get(name))), drawn[detector], label)
    legend = tuple(Key(drawn[name], "bar", title(name)) for name in scores)
    caption = "IoU .50 to .95, .50, .75; then small, medium and large objects. The table of the 12 figures has the numbers."
    return Figure(f"Average precision, {KINDS[kind]}", plot, caption, legend=legend)


def intervals(evaluation: Analysis, kind: str) -> Figure | None:
    """AP of each detector with its interval; None where no interval was measured."""
    scores = {name: result for name, result in evaluation.all_scores(kind).items() if result.interval and result.interval.of("AP")}
    if not scores:
        return None
    rows = [(name, _percent(result.figures.get("AP")), *_bounds(result)) for name, result in scores.items()]
    level = next(result.interval.level for result in scores.values() if result.interval)
    ends = [end for _, _, low, high in rows for end in (low, high)]
    room = 0.08 * (max(ends) - min(ends) or 1)
    y = categories([short(title(name)) for name in reversed(list(scores))])
    x = linear(min(ends) - room, max(ends) + room, "AP, %")
    plot = Plot("AP of each detector with its confidence interval", x, y, height=46 + ROW * len(rows), left=128)
    drawn = looks(scores)
    for place, (name, value, low, high) in enumerate(reversed(rows)):
        plot.line([(low, place), (high, place)], f"whisker {drawn[name]}")
        plot.dots([(value, place)], drawn[name], MARKERS[(len(rows) - 1 - place) % len(MARKERS)])
        plot.write((value, place), percent(value / 100), dy=-8)
    caption = f"{100 * level:.0f} % intervals by bootstrap over the {evaluation.images:,} test images."
    return Figure(f"How sure the figures are, {KINDS[kind]}", plot, caption, tables.intervals(evaluation, kind))


def differences(evaluation: Analysis, kind: str) -> Figure | None:
    """Paired differences in AP points with their intervals beside 0; None where none was measured."""
    tests = [test for test in evaluation.tests if test.kind == kind and test.known and math.isfinite(test.difference)]
    if not tests:
        return None
    ends = [100 * value for test in tests for value in (test.low, test.high)] + [0]
    room = 0.08 * (max(ends) - min(ends) or 1)
    names = [short(f"{test.figure} − {title(test.b)}") for test in reversed(tests)]
    x = linear(min(ends) - room, max(ends) + room, "difference, points")
    plot = Plot("Differences between detectors with their intervals", x, categories(names), height=46 + ROW * len(tests), left=128)
    plot.mark("line zero", f"M{plot.px(0):g} {plot.top:g}V{plot.bottom:g}")
    for place, test in enumerate(reversed(tests)):
        look = looks([test.a])[test.a]
        plot.line([(100 * test.low, place), (100 * test.high, place)], f"whisker {look}")
        plot.dots([(100 * test.difference, place)], look, "dot" if test.classes_distinguished else "diamond")
        plot.write((100 * test.difference, place), points(test.difference), dy=-8)
    caption = (
        f"{_pairs(tests)}, on the same images, {100 * tests[0].level:.0f} % intervals, {tests[0].samples:,} bootstrap samples. "
        "An interval that contains 0 shows no difference. It covers the choice of the test images, not training variance."
    )
    said = in_words(tests[0])
    end = f" than the {title(tests[0].b if tests[0].difference > 0 else tests[0].a)}" if tests[0].classes_distinguished else ""
    return Figure(f"{_upper(said)}{end} ({tests[0].figure})", plot, caption, tables.comparisons(evaluation, kind))


def _bounds(scores: Scores) -> tuple[float, float]:
    low, high = (scores.interval.of("AP") if scores.interval else None) or (math.nan, math.nan)
    return 100 * low, 100 * high


def _pairs(tests: list[Comparison]) -> str:
    return "; ".join(dict.fromkeys(f"{_upper(title(test.a))} minus {title(test.b)}" for test in tests))


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * value


def _ceiling(values: Iterable[float | None]) -> float:
    """The bars' upper end: the highest tens above all values, at least 10, at most 100."""
    highest = max((value for value in map(_percent, values) if math.isfinite(value)), default=0)
    return min(100, max(10, 10 * math.ceil(highest / 10 + 0.2)))
