"""Table: cells as text, which the page and the Markdown file show alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from detkds.report.text import MISSING

Look = Literal["text", "code", "number", "change", "share", "heat"]


@dataclass(frozen=True)
class Column:
    """A heading and how its cells look: `change` is a signed difference, `share` a percentage with a bar, `heat` one with a shade."""

    title: str
    look: Look = "text"


@dataclass(frozen=True)
class Table:
    """Cells as text, row by row; the first of a row names it.

    Args:
        columns: one per cell of a row.
        rows: the cells.
        groups: headings that are placed before the row of that number.
        left_out: how many rows did not fit.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: Mapping[int, str] = field(default_factory=dict)
    left_out: int = 0

    @property
    def gaps(self) -> bool:
        """True where a number is missing."""
        return any(text == MISSING for row in self.rows for text in row)

    def head(self, limit: int) -> Table:
        """The first `limit` rows."""
        return replace(self, rows=self.rows[:limit], left_out=self.left_out + max(0, len(self.rows) - limit))
