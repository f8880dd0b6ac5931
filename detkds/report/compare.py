"""The page that compares runs."""

from __future__ import annotations

from collections.abc import Sequence

from detkds.evaluation.result import Role
from detkds.report import comparison
from detkds.report.comparison import Run
from detkds.report.figures.runs import run_figures, searches
from detkds.report.page import fitting
from detkds.report.series import run_look
from detkds.report.text import change, percent


def compare(runs: Sequence[Run]) -> str:
    """One self-contained page about two or more runs, at most 2 MB; the first is what the others are measured against.

    Raises:
        ArtifactError: the page is too large even with 10 rows a table.
    """
    content = {
        "cards": [_card(run, place) for place, run in enumerate(runs)],
        "lead": lead(runs),
        "comparable": comparison.same_test_set(runs),
        "reach": comparison.runs_table(runs),
        "chart": run_figures(runs),
        "figures": comparison.figures_table(runs),
        "recipes": comparison.recipes_table(runs),
        "searches": searches(runs),
        "studies": comparison.searches_table(runs),
        "costs": comparison.costs_table(runs),
        "differing": comparison.differing(runs),
    }
    return fitting("compare.html.j2", content)


def lead(runs: Sequence[Run]) -> str:
    """Which run's student is best, and how far the next is."""
    if not comparison.same_test_set(runs):
        return "The runs were evaluated on different test images: their figures cannot be compared."
    ranked = sorted(((ap, run) for run in runs if (ap := run.ap(Role.DISTILLED)) is not None), key=lambda pair: -pair[0])
    if len(ranked) < 2:
        return "Fewer than two of the runs have a distilled student that was evaluated."
    (best, winner), (second, next_best) = ranked[:2]
    if change(best, second) == "0.0":
        return f"{winner.label} and {next_best.label} have the best distilled students, {percent(best)} AP each."
    return f"{winner.label} has the best distilled student, {percent(best)} AP, {change(best, second)} points over {next_best.label}."


def _card(run: Run, place: int) -> dict[str, str]:
    """The headline of one run."""
    after, before = run.ap(Role.DISTILLED), run.ap(Role.STUDENT)
    remark = ", no difference is shown" if run.test and not run.test.classes_distinguished else ""
    return {
        "look": run_look(place),
        "title": run.label if place else f"{run.label} (the first)",
        "ap": percent(after),
        "step": change(after, before) if after is not None and before is not None else "",
        "interval": f"{percent(before)} without distillation{remark}" if before is not None else "",
        "description": comparison.weights_line(run),
    }
