"""A comparison of recipes as a page of the same kind as a run's report."""

from __future__ import annotations

import math

from detkds.evaluation import Kind
from detkds.evaluation.repeated import mean_and_spread
from detkds.experiments.comparison import METHOD, NONE, Comparison, Row
from detkds.experiments.comparison_table import KINDS, notes, recipes, tables
from detkds.reading import or_null
from detkds.report.leaderboard import Leaderboard, LeaderboardRow
from detkds.report.tables.table import Column, Table
from detkds.report.text import counted, percent, points
from detkds.report.trainings import TrainingsData, render

LEVEL = 0.95


def page(comparison: Comparison) -> str:
    """The HTML page, for example compare.html.

    Raises:
        ArtifactError: it is too large even with 10 rows per table.
    """
    boards = [(f"AP of {noun}", board) for kind, noun in KINDS.items() if (board := _board(comparison, kind)).rows]
    shown = [(title, _table(head, rows)) for title, (head, *rows) in tables(comparison)]
    named = [(name, losses) for name, _, losses in (line.partition(": ") for line in recipes(comparison))]
    return render(TrainingsData(comparison.run, _lead(boards), boards, shown, list(notes(comparison)), named, METHOD))


def _board(comparison: Comparison, kind: Kind) -> Leaderboard:
    """The recipes by their means, the best first."""
    ranked = [_ranked(comparison, row, kind) for row in comparison.rows if row.repeats.get(kind)]
    ordered = sorted(ranked, key=lambda one: -(one.mean or 0.0))
    return Leaderboard(tuple(ordered), LEVEL, f"{comparison.images} test images")


def _ranked(comparison: Comparison, row: Row, kind: Kind) -> LeaderboardRow:
    mean, _ = mean_and_spread(list(row.repeats[kind].values()), "AP")
    gap = comparison.difference(row.name, NONE, kind)
    # The mean itself has no interval in a comparison: what is compared is paired, seed by seed.
    gain, low, high = (or_null(value) for value in ((gap.difference, gap.low, gap.high) if gap else (math.nan,) * 3))
    losses = "\n".join(dict.fromkeys(row.recipes.values()))
    return LeaderboardRow(row.name, losses, or_null(mean), None, None, gain, low, high, len(row.repeats[kind]))


def _lead(boards: list[tuple[str, Leaderboard]]) -> str:
    """The best recipe in a sentence, and what its interval allows to say."""
    if not boards:
        return "No recipe could be trained."
    board = boards[0][1]
    best = board.rows[0]
    reached = f"{best.name} has the highest mean: {percent(best.mean)} AP over {counted(best.seeds, 'seed')}"
    if best.gain is None or best.gain_low is None:
        return f"{reached}."
    sure = "" if best.gain_low > 0 else ", an interval that contains 0: no gain is shown"
    return f"{reached}, {points(best.gain)} points over no distillation ({points(best.gain_low)} to {points(best.gain_high or 0.0)}{sure})."


def _table(head: list[str], rows: list[list[str]]) -> Table:
    """Texts as on the terminal; all but the first column are numbers."""
    columns = (Column(head[0]), *(Column(name, "number") for name in head[1:]))
    return Table(columns, tuple(tuple(row) for row in rows))
