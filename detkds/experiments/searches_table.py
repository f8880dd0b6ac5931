"""Searches side by side on the terminal and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

if TYPE_CHECKING:
    from detkds.experiments.searches import Searched

HEAD = ("student steps", "candidates", "rejected", "minutes")


def show(searches: Sequence[tuple[str, int, Searched]]) -> Table:
    """A row for each name: means over its seeds."""
    table = Table(title="the searches, means over seeds", box=SIMPLE_HEAD, title_justify="left", title_style="bold", padding=(0, 1, 0, 0))
    for place, name in enumerate(_head(searches)):
        table.add_column(name, justify="right" if place else "left")
    for row in rows(searches):
        table.add_row(*row)
    return table


def markdown(searches: Sequence[tuple[str, int, Searched]]) -> str:
    """The same as Markdown, and the best score so far at quarters of the steps (Figure 4; searches.json has every point)."""
    lines = ["**The searches, means over seeds**", "", _line(_head(searches)), "|---|" + "---:|" * (len(HEAD) + 2)]
    lines += [_line(row) for row in rows(searches)]
    lines += [
        "",
        f"**Best search-val {searches[0][2].word} so far (Figure 4)**",
        "",
        _line(("search, seed", "25 %", "50 %", "75 %", "100 % of its steps")),
    ]
    lines += ["|---|---:|---:|---:|---:|"]
    lines += [_line((f"{name}, {seed}", *quarters(searched.curve()))) for name, seed, searched in searches]
    return "\n".join([*lines, ""])


def _head(searches: Sequence[tuple[str, int, Searched]]) -> tuple[str, ...]:
    return ("search", "seeds", f"best search-val {searches[0][2].word}", *HEAD)


def rows(searches: Sequence[tuple[str, int, Searched]]) -> list[tuple[str, ...]]:
    """Cells below the head."""
    made = []
    for title, group in groupby(searches, key=lambda found: found[0]):
        found = [searched.to_json() for _, _, searched in group]
        key = f"search_val_{searches[0][2].word}"
        scores = [100 * one[key] for one in found if one[key] is not None]
        spread = f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
        best = f"{statistics.mean(scores):.1f}{spread}" if scores else "-"
        costs = (statistics.mean(one[name] for one in found) for name in ("student_steps", "candidates", "rejected"))
        minutes = statistics.mean(one["seconds"] for one in found) / 60
        made.append((title, str(len(found)), best, *(f"{cost:,.0f}" for cost in costs), f"{minutes:.1f}"))
    return made


def quarters(curve: Sequence[tuple[int, float]]) -> list[str]:
    """The best score, in percent, after each quarter of the steps."""
    cells = []
    for share in (0.25, 0.5, 0.75, 1.0):
        reached = [score for steps, score in curve if steps <= share * curve[-1][0]]
        cells.append(f"{100 * reached[-1]:.1f}" if reached else "-")
    return cells


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
