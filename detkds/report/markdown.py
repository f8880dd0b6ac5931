"""The report as Markdown: the tables without the charts, for KFP's Markdown view and for terminals."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile

from detkds.evaluation.result import Analysis
from detkds.genome.formula import formula
from detkds.report import tables
from detkds.report.data import ReportData
from detkds.report.importance import importances
from detkds.report.tables import Table
from detkds.report.tables.detectors import KINDS
from detkds.report.text import clean
from detkds.report.verdict import teacher_note, verdict

MAX_CHARACTERS = 400_000
"""KFP cuts longer Markdown."""
ROWS = 100
MAX_CELL = 200
_MARKUP = re.compile(r"[\\`*_\[\]|~$#:]")
_NUMERIC = ("number", "change", "share", "heat")


def markdown(data: ReportData) -> str:
    """The report in Markdown, below KFP's limit of 400,000 characters; words from outside come without power over it."""
    parts = [f"# {escape(data.run)}", escape(verdict(data))]
    if note := teacher_note(data):
        parts.append(escape(note))
    if data.evaluation and data.evaluation.kinds:
        parts += ["## Detectors", *_detectors(data.evaluation)]
    parts += ["## Recipe", *_recipe(data)]
    if data.studies:
        parts += ["## Search", *_search(data)]
    if data.leaderboard:
        parts += _titled("Final trainings of the best candidates and the known distillers", tables.leaderboard(data.leaderboard))
    if data.costs:
        parts += ["## Cost", *_shown(tables.costs(data.costs))]
    if data.evaluation:
        parts += _titled("Detectors in use", tables.footprints(data.evaluation))
    for heading, entries in data.provenance.items():
        parts += [f"## {escape(heading)}", "\n".join(f"* {escape(key)}: {escape(value)}" for key, value in entries.items())]
    return "\n\n".join(_fitting(parts)) + "\n"


def escape(text: str) -> str:
    """Text as itself on one line of Markdown: no markup, no HTML, no link, no column."""
    line = " ".join(clean(text, MAX_CELL).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(lambda found: "\\" + found[0], line)


def _detectors(evaluation: Analysis) -> list[str]:
    parts: list[str] = []
    for kind in evaluation.kinds:
        parts += _titled(f"COCO figures, {KINDS[kind]}", tables.figures(evaluation, kind))
        parts += _titled("Intervals", tables.intervals(evaluation, kind))
        parts += _titled("AP lost to each kind of error", tables.tide(evaluation, kind))
        parts += _titled("AP of each class", tables.classes(evaluation, kind))
        parts += _titled("Paired tests", tables.comparisons(evaluation, kind))
    return parts


def _search(data: ReportData) -> list[str]:
    parts = _shown(tables.studies(data.studies))
    parts += _titled("Rejected candidates by reason", tables.rejections(data.searches))
    for table in tables.ops(data.searches):
        parts += _titled("Words of the best candidates", table)
    return [*parts, *_titled("Which choices matter", tables.importance([one for study in data.searches for one in importances(study)]))]


def _titled(title: str, table: Table) -> list[str]:
    return [f"### {title}", *_shown(table)] if table.rows else []


def _shown(table: Table) -> list[str]:
    """A table, and a line about the rows that are left out."""
    head = table.head(ROWS)
    rules = ("---:" if column.look in _NUMERIC else "---" for column in head.columns)
    lines = [_line(escape(column.title) for column in head.columns), _line(rules)]
    for place, row in enumerate(head.rows):
        if place in head.groups:
            lines.append(_line([f"**{escape(head.groups[place])}**", *("" for _ in row[1:])]))
        lines.append(_line(map(escape, row)))
    note = [f"{head.left_out} more rows are in results.json."] if head.left_out else []
    return ["\n".join(lines), *note]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _recipe(data: ReportData) -> list[str]:
    """The recipe and its formulas as code blocks: their words are of a closed vocabulary."""
    recipe = data.recipe
    if recipe is None:
        return ["This run has no recipe yet."]
    if not recipe.active:
        return ["No distillation: the student trains with its own loss only."]
    formulas = "\n\n".join(formula(genome, recipe.semantics) for genome in recipe.active)
    return [f"```\n{recipe}\n```", f"Semantics {recipe.semantics}, digest {recipe.digest}.", f"```\n{formulas}\n```"]


def _fitting(parts: list[str]) -> list[str]:
    """As many whole parts from the start as the limit holds."""
    lengths = [sum(len(part) + 2 for part in parts[: place + 1]) for place in range(len(parts))]
    return parts[: sum(1 for _ in takewhile(lambda length: length < MAX_CHARACTERS, lengths))]
