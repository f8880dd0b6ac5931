"""The report as one self-contained HTML page: one script of its own, no outside address, readable in KFP's sandboxed frame."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from detkds.errors import ArtifactError
from detkds.evaluation.result import Analysis, Role
from detkds.evaluation.scores import Scores
from detkds.genome.formula import formula, tex
from detkds.report import figures, panels, tables
from detkds.report.data import ReportData
from detkds.report.glossary import GLOSSARY
from detkds.report.mathml import prose
from detkds.report.series import long_title, looks, title
from detkds.report.study import ReportedStudy
from detkds.report.tables.curves import thresholds
from detkds.report.tables.detectors import KINDS
from detkds.report.text import change, clean, percent, span
from detkds.report.verdict import cost_heading, detectors_heading, search_heading, teacher_note, verdict

MAX_BYTES = 2_000_000
SCORES = {
    "ap": "the AP on search-val",
    "loss": "100 / (1 + L), where L is the mean detection loss on search-val",
}
"""What a search's scores are, in the words of the page."""
LIMITS = ((2000, 24), (500, 12), (200, 12), (200, 6), (50, 3), (10, 0))
"""Rows that a table may have, and images with detections; the first pair with which the page fits is taken."""


def render(data: ReportData) -> str:
    """The page of a run, at most 2 MB; tables that do not fit say how many rows are left out. The same data give the same text.

    Raises:
        ArtifactError: the page is too large even with 10 rows a table.
    """
    return fitting("run.html.j2", _content(data), _examples(data.evaluation))


def fitting(template: str, content: Mapping[str, Any], pictures: list[dict[str, Any]] | None = None) -> str:
    """A template's page, with as many rows a table and as many of the pictures as 2 MB hold.

    Raises:
        ArtifactError: it is too large with the fewest.
    """
    shown = pictures or []
    for rows, images in LIMITS:
        kept = {"rows": rows, "examples": shown[:images], "examples_left_out": max(0, len(shown) - images)}
        page = environment().get_template(template).render(**content, **kept)
        size = len(page.encode())
        if size <= MAX_BYTES:
            return page
    raise ArtifactError(
        f"a report must have at most {MAX_BYTES} bytes, but has {size} with {rows} rows a table; results.json holds it all."
    )


def _content(data: ReportData) -> dict[str, Any]:
    kinds = [_kind(data.evaluation, kind) for kind in data.evaluation.kinds] if data.evaluation else []
    return {
        "data": data,
        "verdict": verdict(data),
        "teacher_note": teacher_note(data),
        "cards": _cards(data.evaluation) if data.evaluation else [],
        "kinds": kinds,
        "intervals_known": data.evaluation is not None and any(test.known for test in data.evaluation.comparisons),
        "errors_shown": any(part["tide"] or part["stacks"] or part["confusions"] for part in kinds),
        "detectors_heading": detectors_heading(data),
        "shown_score": panels.SHOWN_SCORE,
        "losses": _losses(data),
        **_search(data),
        "board": figures.leaderboard(data.leaderboard) if data.leaderboard else None,
        "loss_curves": figures.losses(data.curves),
        "costs": tables.costs(data.costs),
        "cost_heading": cost_heading(data),
        "footprints": tables.footprints(data.evaluation) if data.evaluation else tables.Table((), ()),
    }


def _cards(evaluation: Analysis) -> list[dict[str, Any]]:
    """The headline: one card per detector."""
    if not evaluation.kinds:
        return []
    scores = evaluation.all_scores(evaluation.kinds[0])
    before = scores.get(Role.STUDENT)
    styles = looks(scores)
    return [
        {
            "look": styles[name],
            "title": long_title(name),
            "ap": percent(result.figures.get("AP")),
            "step": change(result.figures.get("AP"), before.figures.get("AP")) if before and name == Role.DISTILLED else "",
            "interval": _interval(result),
            "description": evaluation.detectors[name].description,
        }
        for name, result in scores.items()
    ]


def _interval(scores: Scores) -> str:
    bounds = scores.interval.of("AP") if scores.interval else None
    return f"{100 * scores.interval.level:.0f} % interval {span(bounds)}" if scores.interval and bounds else ""


def _kind(evaluation: Analysis, kind: str) -> dict[str, Any]:
    """What is shown of boxes, or of masks."""
    charts = [
        figures.average_precisions(evaluation, kind),
        figures.intervals(evaluation, kind),
        figures.differences(evaluation, kind),
        *(figures.precision_recall(evaluation, kind, iou) for iou in thresholds(evaluation, kind)),
    ]
    return {
        "kind": kind,
        "name": KINDS[kind],
        "charts": [chart for chart in charts if chart],
        "figures": tables.figures(evaluation, kind),
        "classes": tables.classes(evaluation, kind),
        "tide": figures.tide(evaluation, kind),
        "stacks": figures.error_stacks(evaluation, kind),
        "stacks_caption": figures.STACKS,
        "areas": tables.error_areas(evaluation, kind),
        "confusions": [_confusion(name, scores) for name, scores in evaluation.all_scores(kind).items() if _confuses(scores)],
    }


def _confuses(scores: Scores) -> bool:
    return scores.confusion is not None and any(map(any, scores.confusion.matrix))


def _confusion(name: str, scores: Scores) -> dict[str, Any]:
    confusion = scores.confusion
    assert confusion is not None
    matrix = tables.confusion(confusion)
    cut = len(matrix.columns) - 2 < len(confusion.labels)
    pairs = tables.confused(confusion)
    return {"title": title(name), "pairs": pairs, "matrix": matrix, "iou": confusion.iou, "score": confusion.score, "cut": cut}


def _examples(evaluation: Analysis | None) -> list[dict[str, Any]]:
    return [
        {
            "id": f"image-{place}",
            "uri": panels.data_uri(example),
            "file": example.file,
            "width": example.width,
            "height": example.height,
            "panels": panels.panels(example),
        }
        for place, example in enumerate(evaluation.examples if evaluation else ())
    ]


def _losses(data: ReportData) -> list[dict[str, Any]]:
    """The recipe's losses as mathematics (Table 5)."""
    recipe = data.recipe
    return [
        {
            "genome": genome,
            "mathematics": [prose(line) for line in tex(genome, recipe.semantics)],
            "plain": formula(genome, recipe.semantics),
            "tex": "\n".join(tex(genome, recipe.semantics)),
        }
        for genome in (recipe.genomes if recipe else ())
        if recipe
    ]


def _search(data: ReportData) -> dict[str, Any]:
    return {
        "search_heading": search_heading(data.searches),
        "score": SCORES[data.studies[0].scored_by if data.studies else "ap"],
        "studies": tables.studies(data.studies),
        "searches": [_study(data, study, place) for place, study in enumerate(data.searches)],
        "ops": tables.ops(data.searches),
        "importance": figures.importance(data.searches),
        "fidelity": figures.fidelity(data.fidelity),
        "rejections": tables.rejections(data.searches),
    }


def _study(data: ReportData, study: ReportedStudy, place: int) -> dict[str, Any]:
    return {
        "id": f"study-{place}",
        "name": study.name,
        "size": len(study.trials),
        "curve": figures.search_curve(study, data.rival(study)),
        "parallel": figures.parallel(study),
        "trials": tables.trials(study),
    }


@functools.cache
def environment() -> Environment:
    """Templates in which every text is escaped and cleaned."""
    loader = PackageLoader("detkds.report", "templates")
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    script = loader.get_source(made, "page.js")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    made.globals.update(script=Markup(script), script_hash=f"sha256-{digest}", glossary=GLOSSARY)  # our own file, not from outside
    return made


def _finalize(value: Any) -> Any:
    """Every text from outside is cleaned; our own markup, and what is long by nature, passes."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
