"""The gain of each recipe over no distillation, with its interval."""

from __future__ import annotations

from detkds.report import tables
from detkds.report.figures.figure import Figure, Key
from detkds.report.figures.plot import Plot, categories, linear
from detkds.report.leaderboard import Leaderboard, LeaderboardRow
from detkds.report.text import counted, percent, points, short

ROW = 30
CHOSEN, OTHER = "distilled", "muted"


def leaderboard(board: Leaderboard) -> Figure | None:
    """A row per recipe, in the order of the board; None where no gain is known."""
    rows = list(reversed(board.gaining))
    if not rows:
        return None
    ends = [100 * value for row in rows for value in (row.gain, row.gain_low, row.gain_high) if value is not None] + [0.0]
    room = 0.08 * (max(ends) - min(ends) or 1)
    x = linear(min(ends) - room, max(ends) + room, f"gain in {board.word} over no distillation, points")
    plot = Plot(
        "Gain of each recipe with its interval", x, categories([short(row.name) for row in rows]), height=46 + ROW * len(rows), left=128
    )
    plot.mark("line zero", f"M{plot.px(0):g} {plot.top:g}V{plot.bottom:g}")
    for place, row in enumerate(rows):
        look = CHOSEN if row.chosen else OTHER
        if row.gain_low is not None and row.gain_high is not None:
            plot.line([(100 * row.gain_low, place), (100 * row.gain_high, place)], f"whisker {look}")
        plot.dots([(100 * (row.gain or 0.0), place)], look, labels=[_label(row, board.word)])
        plot.write((100 * (row.gain or 0.0), place), points(row.gain or 0.0), dy=-7)
    level = f"{100 * board.level:.0f} % intervals over {_drawn(board)}"
    caption = f"{level}. An interval that contains 0 does not show a gain. {board.word[0].upper()}{board.word[1:]} on {board.images}."
    legend = tuple(
        Key(look, "dot", name) for look, name in ((CHOSEN, "chosen"), (OTHER, "other recipe")) if any(row.chosen for row in rows)
    )
    return Figure(_finding(board), plot, caption, tables.leaderboard(board), legend)


def _drawn(board: Leaderboard) -> str:
    """What the intervals cover: a race that chooses has those of its seeds, a comparison those of its seeds and test images together."""
    if board.chosen is not None:
        return "seeds"
    if max(row.seeds for row in board.gaining) > 1:
        return "seeds and test images"
    return "test images; with one seed, other seeds may differ more"


def _label(row: LeaderboardRow, word: str) -> str:
    return f"{row.name}: {word} {percent(row.mean)}, {counted(row.seeds, 'seed')}\n{row.recipe}"


def _finding(board: Leaderboard) -> str:
    chosen = board.chosen
    if chosen is None:
        best = max(board.gaining, key=lambda row: row.gain or 0.0)
        return f"{short(best.name, 40)} has the highest mean: {points(best.gain or 0.0)} points"
    if chosen.gain is None or not chosen.gain:
        return "No recipe is certainly better than no distillation"
    return f"Chosen: {short(chosen.name, 40)}, {points(chosen.gain)} points over no distillation"
