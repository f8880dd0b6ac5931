"""A table that leaves out columns where the terminal is too narrow for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table

_ENDLESS = 10_000
"""Columns of a terminal on which every table fits."""


@dataclass
class FittingTable:
    """Rows below a title. A figure that is cut off can be misread, so whole columns are left out instead.

    Args:
        title: above the table; empty for none.
        columns: their headings, the first of which is text and the others are figures.
        spare: the headings of those that are left out where there is too little room, in this order.
        rows: a value for each column, and a style.
    """

    title: str
    columns: Sequence[str]
    spare: Sequence[str]
    rows: list[tuple[Sequence[RenderableType], str]] = field(default_factory=list)

    def add_row(self, *values: RenderableType, style: str = "") -> None:
        """One more row."""
        self.rows.append((values, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        left_out: list[str] = []
        spare = iter(self.spare)
        table = self._table(left_out)
        while console.measure(table, options=options.update(width=_ENDLESS)).maximum > options.max_width:
            name = next(spare, None)
            if name is None:
                table = self._table(left_out, wrapped=True)
                break
            left_out.append(name)
            table = self._table(left_out)
        yield table

    def _table(self, left_out: Sequence[str], *, wrapped: bool = False) -> Table:
        shown = [place for place, name in enumerate(self.columns) if name not in left_out]
        table = Table(box=SIMPLE_HEAD, title=self.title or None, title_style="bold", title_justify="left", padding=(0, 1, 0, 0))
        for place in shown:
            table.add_column(self.columns[place], justify="right" if place else "left", no_wrap=not wrapped, overflow="fold")
        for values, style in self.rows:
            table.add_row(*(values[place] for place in shown), style=style)
        return table
