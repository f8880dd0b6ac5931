"""Compare runs: one page, and a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from detkds.errors import ArtifactError, ConfigError
from detkds.report import tables
from detkds.report.compare import compare, lead
from detkds.report.comparison import Run, runs_table
from detkds.report.results import read_results
from detkds.report.text import clean
from detkds.storage.artifacts import write_atomic

RESULTS = "results.json"
MAX_BYTES = 200_000_000
"""A results.json of thousands of candidates has a few megabytes; anything larger than this is none."""


def report(names: Sequence[str], *, out: Path, home: Path, console: Console) -> list[dict[str, str]]:
    """Write the page that compares runs, the first with the others, and print their figures.

    Args:
        names: folders that hold a results.json, such files, or names of runs below `home`/runs.
        out: the page.
        home: usually `.detkds`.
        console: gets the table.

    Returns:
        The rows of the table, by the titles of its columns.

    Raises:
        ConfigError: fewer than two runs.
        ArtifactError: one does not exist, or is not a results.json.
    """
    if len(names) < 2:
        raise ConfigError(f"a comparison needs two runs or more, got {len(names)}; the page of one run is report.html in its folder.")
    runs = _labelled(names, [find(name, home) for name in names])
    page = compare(runs)
    write_atomic(out, page)
    figures = runs_table(runs)
    console.print(_terminal(figures))
    console.print(clean(lead(runs)), markup=False, soft_wrap=True)
    console.print(f"page  {out}", markup=False, soft_wrap=True)
    titles = [column.title for column in figures.columns]
    return [dict(zip(titles, (clean(cell) for cell in row), strict=True)) for row in figures.rows]


def _terminal(table: tables.Table) -> Table:
    """The table for a terminal."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for place, column in enumerate(table.columns):
        shown.add_column(column.title, justify="right" if place else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(clean(cell, 100)) for cell in row))
    return shown


def find(name: str, home: Path) -> Path:
    """The results.json that a folder, a file or a run's name means.

    Raises:
        ArtifactError: there is none.
    """
    places = (Path(name), Path(name) / RESULTS, home / "runs" / name / RESULTS)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ArtifactError(
            f"{name} must be a folder with a {RESULTS}, such a file, or a run below {home / 'runs'}, but none is there; "
            f"`detkds pull {name}` brings a run from the store."
        )
    return found


def _labelled(names: Sequence[str], files: Sequence[Path]) -> list[Run]:
    """The runs by their own names, or as the user named them where two have the same."""
    data = [read_results(_read(file), str(file)) for file in files]
    own = [found.run for found in data]
    labels = own if len(set(own)) == len(own) else list(names)
    return [Run(label, found) for label, found in zip(labels, data, strict=True)]


def _read(file: Path) -> bytes:
    if file.stat().st_size > MAX_BYTES:
        raise ArtifactError(f"{file} must have at most {MAX_BYTES} bytes, got {file.stat().st_size}; it is not a results.json of a run.")
    return file.read_bytes()
