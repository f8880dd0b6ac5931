"""Figure: a plot with its title, legend and description."""

from __future__ import annotations

from dataclasses import dataclass

from detkds.report.figures.plot import SHAPES, Plot
from detkds.report.tables.table import Table


@dataclass(frozen=True)
class Key:
    """One entry of a legend: the classes of what is drawn, its shape (line, bar, or one of a plot's markers), and its name."""

    look: str
    shape: str
    name: str

    @property
    def classes(self) -> str:
        """What the plot's mark has as classes."""
        return f"{'dots ' if self.shape in SHAPES else ''}{self.shape} {self.look}"

    @property
    def path(self) -> str:
        """The mark, in a box of 24 by 12."""
        if self.shape in SHAPES:
            return f"M12 6{SHAPES[self.shape]}"
        return "M1 6h22" if self.shape in ("line", "thread") else "M5 1v10h14v-10z"


@dataclass(frozen=True)
class Figure:
    """A plot, the finding as its title, a caption, a legend, and the numbers that it shows."""

    title: str
    plot: Plot
    caption: str
    numbers: Table | None = None
    legend: tuple[Key, ...] = ()
