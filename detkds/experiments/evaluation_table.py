"""An analysis on the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from detkds.evaluation.result import Analysis, Comparison
from detkds.evaluation.scores import Cost, Scores

KINDS = {"bbox": "boxes", "segm": "masks"}
FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")
LIKELY_CHANCE = 0.05


def show(analysis: Analysis, console: Console, *, per_class: bool = False) -> None:
    """Print figures with intervals, kinds of errors, costs and comparisons; all AP in points, 0 to 100."""
    for table in _tables(analysis, per_class):
        console.print(table)
        console.print()
    for comparison in analysis.comparisons:
        console.print(_sentence(comparison), soft_wrap=True)


def _tables(analysis: Analysis, per_class: bool) -> Iterator[Table]:
    for kind, noun in KINDS.items():
        results = analysis.all_scores(kind)
        if results:
            yield _figures(f"{noun}, {analysis.images} images", results)
            yield _errors(results)
            if per_class:
                yield _classes(results)
    costs = {name: detector.cost for name, detector in analysis.detectors.items() if detector.cost}
    if costs:
        yield _costs(costs)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _figures(title: str, results: Mapping[str, Scores]) -> Table:
    levels = [result.interval.level for result in results.values() if result.interval]
    table = _table(title, "AP", f"{100 * levels[0]:.0f} %" if levels else "", *FIGURES[1:])
    for name, result in results.items():
        values = [_points(result.figures[figure]) for figure in FIGURES]
        bounds = result.interval.of("AP") if result.interval else None
        table.add_row(Text(name), values[0], _range(*bounds) if bounds else "-", *values[1:])
    return table


def _errors(results: Mapping[str, Scores]) -> Table:
    names = list(next(iter(results.values())).tide)
    table = _table("AP50 lost to each kind of error (TIDE)", *names)
    for name, result in results.items():
        table.add_row(Text(name), *(_points(result.tide[error]) for error in names))
    return table


def _classes(results: Mapping[str, Scores]) -> Table:
    table = _table("AP of each class", *map(_plain, results), "objects")
    first = next(iter(results.values()))
    for name, counted in first.per_class.items():
        if counted["objects"]:
            values = (_points(result.per_class[name]["AP"]) for result in results.values())
            table.add_row(Text(name), *values, f"{counted['objects']:.0f}")
    return table


def _costs(costs: Mapping[str, Cost]) -> Table:
    devices = ", ".join(dict.fromkeys(cost.device for cost in costs.values()))
    table = _table(f"one image on {_plain(devices)}", "parameters", "GFLOPs", "ms", "10-90 %", "input")
    for name, cost in costs.items():
        flops = "unknown" if cost.flops is None else f"{cost.flops / 1e9:.2f}"
        times, (height, width) = cost.latency_ms, cost.input
        spread = f"{times['low']:.1f}-{times['high']:.1f}"
        table.add_row(Text(name), f"{cost.parameters / 1e6:.2f} M", flops, f"{times['median']:.1f}", spread, f"{width} x {height}")
    return table


def _sentence(test: Comparison) -> Text:
    name = f"{KINDS.get(test.kind, test.kind)} {test.figure}"
    if not math.isfinite(test.difference):
        return Text(f"{test.a} against {test.b}, {name}: no objects to compare on")
    ends = _range(test.low, test.high, "+")
    told = f"{test.a} against {test.b}, {name}: {100 * test.difference:+.1f} points ({100 * test.level:.0f} %: {ends})"
    doubt = "" if test.p < LIKELY_CHANCE else "; may be chance"
    return Text(f"{told}, p = {_chance(test)}{doubt}")


def _chance(test: Comparison) -> str:
    """p to three digits, never as 0."""
    return f"{test.p:.3f}" if test.p >= 0.001 else "< 0.001"


def _range(low: float, high: float, sign: str = "") -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return "-"
    return f"{100 * low:{sign}.1f}" + (" to " if sign else "-") + f"{100 * high:{sign}.1f}"


def _points(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else "-"


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
