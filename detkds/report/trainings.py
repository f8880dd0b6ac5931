"""The page about several trainings of one student: a comparison of recipes, or an ablation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detkds.report import figures
from detkds.report.leaderboard import Leaderboard
from detkds.report.page import fitting
from detkds.report.tables.table import Table


@dataclass(frozen=True)
class TrainingsData:
    """What the page shows.

    Args:
        title: of the page.
        lead: the result in one sentence.
        boards: (heading, leaderboard), one per kind of AP.
        tables: (heading, table).
        notes: sentences about what was left out or could not be trained.
        recipes: (name, losses).
        method: how intervals were computed.
    """

    title: str
    lead: str
    boards: Sequence[tuple[str, Leaderboard]]
    tables: Sequence[tuple[str, Table]]
    notes: Sequence[str]
    recipes: Sequence[tuple[str, str]]
    method: str


def render(data: TrainingsData) -> str:
    """The self-contained page, at most 2 MB.

    Raises:
        ArtifactError: the page is too large even with 10 rows per table.
    """
    charts = [(heading, chart) for heading, board in data.boards if (chart := figures.leaderboard(board))]
    return fitting("trainings.html.j2", {"data": data, "charts": charts})
