"""A comparison on the terminal and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from detkds.evaluation import Kind
from detkds.evaluation.repeated import Gap, mean_and_spread
from detkds.experiments.comparison import METHOD, REFERENCES, Comparison, Row

KINDS: dict[Kind, str] = {"bbox": "boxes", "segm": "masks"}
FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def show(comparison: Comparison, console: Console) -> None:
    """Print a table for each kind."""
    for title, (head, *rows) in tables(comparison):
        table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold", padding=(0, 1, 0, 0))
        for place, name in enumerate(head):
            table.add_column(name, justify="right" if place else "left", no_wrap=bool(place), overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    for line in [*notes(comparison), *recipes(comparison)]:
        console.print(line, markup=False, soft_wrap=True)
    console.print("± over seeds. " + METHOD, style="dim", markup=False)


def markdown(comparison: Comparison) -> str:
    """The same as Markdown."""
    parts: list[str] = []
    for title, (head, *rows) in tables(comparison):
        parts += [f"**{title}**", ""]
        parts += [_line(head), "|---|" + "---:|" * (len(head) - 1), *map(_line, rows), ""]
    parts += [f"* {line}" for line in notes(comparison)]
    parts += ["", "Recipes:", "", *(f"* {line}" for line in recipes(comparison, "`"))]
    return "\n".join([*parts, "", "± is the standard deviation over seeds. " + METHOD, ""])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def tables(comparison: Comparison) -> Iterator[tuple[str, list[list[str]]]]:
    """Title, head and rows: figures and differences of each kind."""
    references = [row.name for row in comparison.rows if row.name in REFERENCES]
    for kind, noun in KINDS.items():
        rows = [row for row in comparison.rows if row.repeats.get(kind)]
        if rows:
            about = f"{comparison.run}: AP of {noun} in points, {comparison.images} test images, {_epochs(comparison.epochs)}"
            yield about, [["recipe", *FIGURES, "seeds"], *_teacher(comparison, kind), *(_figures(row, kind) for row in rows)]
            lines = [[row.name, *(_gap(comparison.difference(row.name, name, kind)) for name in references)] for row in rows]
            if lines := [line for line in lines if any(line[1:])]:
                yield f"paired differences in AP of {noun}, 95 %", [["recipe", *(f"over {name}" for name in references)], *lines]


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"


def _teacher(comparison: Comparison, kind: Kind) -> list[list[str]]:
    taught = comparison.teacher.get(kind)
    return [["teacher", *(_points(taught[name]) for name in FIGURES), ""]] if taught else []


def _figures(row: Row, kind: Kind) -> list[str]:
    repeats = list(row.repeats[kind].values())
    figures = [mean_and_spread(repeats, name) for name in FIGURES]
    mean, spread = figures[0]
    first = _points(mean) + (f" ± {_points(spread)}" if math.isfinite(spread) else "")
    return [row.name, first, *(_points(value) for value, _ in figures[1:]), str(len(repeats))]


def _gap(gap: Gap | None) -> str:
    """+1.3 (-0.4 to +3.0); a star where chance alone is unlikely."""
    if gap is None or not math.isfinite(gap.difference):
        return ""
    star = " *" if gap.p < 1 - gap.level else ""
    return f"{100 * gap.difference:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f}){star}"


def notes(comparison: Comparison) -> Iterator[str]:
    for row in comparison.rows:
        for seed, reason in row.rejected.items():
            yield f"{row.name}, seed {seed}, could not be trained: {reason}"
    for name, reason in comparison.left_out.items():
        yield f"{name} was left out: {reason}"


def recipes(comparison: Comparison, quote: str = "") -> Iterator[str]:
    """The losses of each row; of each seed, where a search found others."""
    for row in comparison.rows:
        for recipe in dict.fromkeys(row.recipes.values()):
            seeds = [str(seed) for seed, one in row.recipes.items() if one == recipe]
            which = f" (seed {', '.join(seeds)})" if len(set(row.recipes.values())) > 1 else ""
            losses = f"{quote}{'; '.join(recipe.splitlines())}{quote}"
            yield f"{row.name}{which}: {losses}, {'inheriting' if row.inherit else 'not inheriting'}"


def _points(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else "-"
