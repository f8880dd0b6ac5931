"""The report as one self-contained HTML page: no script, no outside address, readable in KFP's sandboxed frame."""

from __future__ import annotations

import functools
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from detkds.errors import ArtifactError
from detkds.report import figures, tables
from detkds.report.data import ReportData, Role, Study
from detkds.report.text import change, clean, percent
from detkds.report.verdict import verdict

MAX_BYTES = 2_000_000
ROW_LIMITS = (2000, 500, 200, 50, 10)
"""Rows a table may have; the first limit under which the page fits is taken."""


def render(data: ReportData) -> str:
    """The page of a run, at most 2 MB; tables that do not fit say how many rows are left out. The same data give the same text.

    Raises:
        ArtifactError: the page is too large even with 10 rows a table.
    """
    charts = _charts(data)
    for rows in ROW_LIMITS:
        page = _environment().get_template("template.html.j2").render(data=data, rows=rows, **charts)
        size = len(page.encode())
        if size <= MAX_BYTES:
            return page
    raise ArtifactError(
        f"a report must have at most {MAX_BYTES} bytes, but has {size} with {rows} rows a table; results.json holds it all."
    )


def _charts(data: ReportData) -> dict[str, Any]:
    thresholds = tables.curve_thresholds(data)[:4]
    return {
        "average_precisions": Markup(figures.average_precisions(data.ranked)),
        "precision_recall": [(iou, Markup(figures.precision_recall(data.ranked, iou))) for iou in thresholds],
        "search_curves": [(study, Markup(figures.search_curve(study))) for study in data.studies],
    }


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("detkds.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.globals.update(tables=tables, Role=Role, verdict=verdict, percent=percent, change=change, study_line=study_line)
    return environment


def _finalize(value: Any) -> Any:
    """Every text from outside is cleaned; our own drawings pass."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def study_line(study: Study) -> str:
    """A search in one sentence."""
    if study.best is None:
        return "No candidate has a score."
    text = f"Best {percent(study.best.score)}, candidate {study.best.number} of {study.last}"
    if study.gain is None:
        return text + "."
    step = change(study.best.score, study.without_distillation)
    return f"{text}; {step} over no distillation." if study.gain > 0 else f"{text}; no gain over no distillation ({step})."
