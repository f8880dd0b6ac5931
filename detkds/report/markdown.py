"""The report as Markdown: the tables without the charts, for KFP's Markdown view and for terminals."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile

from detkds.report import tables
from detkds.report.data import ReportData
from detkds.report.tables import Table
from detkds.report.text import clean
from detkds.report.verdict import verdict

MAX_CHARACTERS = 400_000
"""KFP cuts longer Markdown."""
ROWS = 100
MAX_CELL = 200
_MARKUP = re.compile(r"[\\`*_\[\]|~$#:]")


def markdown(data: ReportData) -> str:
    """The report in Markdown, below KFP's limit of 400,000 characters; words from outside come without power over it."""
    parts = [f"# {escape(data.run)}", escape(verdict(data))]
    if data.ranked:
        parts += ["## Detectors", *_shown(tables.figures(data)), "### AP of each class", *_shown(tables.classes(data))]
    parts += ["## Recipe", _recipe(data)]
    if data.studies:
        parts += ["## Search", *_shown(tables.studies(data))]
    rejections = tables.rejections(data)
    if rejections.rows:
        parts += ["### Rejected candidates by reason", *_shown(rejections)]
    if data.costs:
        parts += ["## Cost", *_shown(tables.costs(data))]
    for heading, entries in data.provenance.items():
        parts += [f"## {escape(heading)}", "\n".join(f"* {escape(key)}: {escape(value)}" for key, value in entries.items())]
    return "\n\n".join(_fitting(parts)) + "\n"


def escape(text: str) -> str:
    """Text as itself on one line of Markdown: no markup, no HTML, no link, no column."""
    line = " ".join(clean(text, MAX_CELL).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(lambda found: "\\" + found[0], line)


def _shown(table: Table) -> list[str]:
    """A table, and a line about the rows that are left out."""
    head = table.head(ROWS)
    rules = ("---:" if column.look in ("number", "change", "share") else "---" for column in head.columns)
    lines = [_line(escape(column.title) for column in head.columns), _line(rules), *(_line(map(escape, row)) for row in head.rows)]
    note = [f"{head.left_out} more rows are in results.json."] if head.left_out else []
    return ["\n".join(lines), *note]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _recipe(data: ReportData) -> str:
    """The recipe as a code block: its words are of a closed vocabulary."""
    if data.recipe is None:
        return "This run has no recipe yet."
    if not data.recipe.active:
        return "No distillation: the student trains with its own loss only."
    return f"```\n{data.recipe}\n```\n\nSemantics {data.recipe.semantics}, digest {data.recipe.digest}."


def _fitting(parts: list[str]) -> list[str]:
    """As many whole parts from the start as the limit holds."""
    lengths = [sum(len(part) + 2 for part in parts[: place + 1]) for place in range(len(parts))]
    return parts[: sum(1 for _ in takewhile(lambda length: length < MAX_CHARACTERS, lengths))]
