"""The leaderboard as a table."""

from __future__ import annotations

from detkds.report.leaderboard import Leaderboard, LeaderboardRow
from detkds.report.tables.table import Column, Table
from detkds.report.text import MISSING, percent, points


def leaderboard(board: Leaderboard) -> Table:
    """One row per recipe: score, gain over no distillation with its interval, and seeds."""
    gain = f"{100 * board.level:.0f} % interval of the gain"
    columns = (Column("recipe"), Column(board.word, "number"), Column("gain", "change"), Column(gain, "number"), Column("seeds", "number"))
    return Table((*columns, Column("losses", "code"), Column("")), tuple(map(_row, board.rows)))


def _row(row: LeaderboardRow) -> tuple[str, ...]:
    known = row.gain_low is not None and row.gain_high is not None
    span = f"{points(row.gain_low or 0.0)} to {points(row.gain_high or 0.0)}" if known else MISSING
    gain = MISSING if row.gain is None else points(row.gain)
    remark = f"could not be trained: {row.rejected}" if row.rejected else "chosen" if row.chosen else ""
    return (row.name, percent(row.mean), gain, span, str(row.seeds), row.recipe, remark)
