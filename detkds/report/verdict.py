"""What a run found, in plain sentences: the lead of the page, and the headings of its parts."""

from __future__ import annotations

import math
from collections.abc import Iterable

from detkds.evaluation.result import Analysis, Comparison, Role
from detkds.report.data import ReportData
from detkds.report.study import WEIGHTS, ReportedStudy
from detkds.report.tables.costs import total_seconds
from detkds.report.text import chance, change, count, duration, percent, points


def verdict(data: ReportData) -> str:
    """What distillation did to the AP, how sure that is, and how far it is to the teacher; no more than the evaluation says."""
    evaluation = data.evaluation
    if evaluation is None or not evaluation.detectors:
        return "No detector has been evaluated yet."
    kind = evaluation.kinds[0] if evaluation.kinds else "bbox"
    teacher, before, after = (_ap(evaluation, role, kind) for role in Role)
    if after is None:
        return "No distilled student has been evaluated yet."
    if before is None:
        return f"The distilled student reaches {percent(after)} AP{_beside(teacher)}."
    if data.plain():
        alike = "The recipe is no distillation, so both students are trained alike"
        return f"{alike}: {percent(before)} and {percent(after)} AP{_beside(teacher)}."
    test = evaluation.comparison(Role.DISTILLED, Role.STUDENT, kind)
    step = change(after, before)
    if test is not None and not test.classes_distinguished:
        return (
            f"No difference is shown: the student has {percent(before)} AP without distillation and {percent(after)} with it "
            f"({step} points, {interval(test)}){_beside(teacher)}."
        )
    if step == "0.0":
        return f"Distillation leaves the student's AP at {percent(after)}{_beside(teacher)}."
    verb = "raises" if after > before else "lowers"
    sure = f"{step} points, {interval(test)}" if test else f"{step} points"
    return f"Distillation {verb} the student's AP from {percent(before)} to {percent(after)} ({sure}){_gap(teacher, before, after)}."


def teacher_note(data: ReportData) -> str:
    """Why no figure of the teacher is shown; empty where there is one, or nothing has been evaluated."""
    evaluation = data.evaluation
    if evaluation is None or not evaluation.detectors or Role.TEACHER in evaluation.detectors:
        return ""
    return (
        "No teacher is evaluated, since it is a backbone, which detects nothing, or the moving average of the student, which ends with it."
    )


def interval(test: Comparison) -> str:
    """95 % interval −0.4 to +2.1, p = 0.19."""
    return f"{100 * test.level:.0f} % interval {points(test.low)} to {points(test.high)}, {chance(test.p)}"


def detectors_heading(data: ReportData) -> str:
    """The gain in a few words."""
    evaluation = data.evaluation
    if evaluation is None:
        return "Detectors"
    kind = evaluation.kinds[0] if evaluation.kinds else "bbox"
    before, after = (_ap(evaluation, role, kind) for role in (Role.STUDENT, Role.DISTILLED))
    test = evaluation.comparison(Role.DISTILLED, Role.STUDENT, kind)
    if before is None or after is None:
        return "AP of the detectors"
    if data.plain():
        return "Both students are trained without distillation"
    if test is not None and not test.classes_distinguished:
        return "No difference between student and distilled student is shown"
    gains = [_class_gain(evaluation, kind, name) for name in _classes(evaluation, kind)]
    known = [gain for gain in gains if math.isfinite(gain)]
    better = sum(gain > 0 for gain in known)
    return (
        f"Distillation brings {change(after, before)} points of AP; {better} of {len(known)} classes gain"
        if known
        else "AP of the detectors"
    )


def search_heading(searches: Iterable[ReportedStudy]) -> str:
    """The best gain of all searches."""
    known = [study for study in searches if study.gain is not None]
    best = max(known, key=lambda study: study.gain or 0.0, default=None)
    if best is None or best.gain is None:
        return "No candidate has been compared with no distillation yet"
    name = "combined losses" if best.name == WEIGHTS else f"{best.name} knowledge"
    return f"Best in the search: {name}, {points(best.gain)} points" if best.gain > 0 else "No candidate was better than no distillation"


def cost_heading(data: ReportData) -> str:
    """The time of all stages."""
    candidates = sum(len(study.trials) for study in data.searches)
    taken = f"The run took {duration(total_seconds(data.costs))}"
    return f"{taken} for {count(candidates)} candidates and the training" if candidates else taken


def _classes(evaluation: Analysis, kind: str) -> list[str]:
    scores = evaluation.scores(Role.DISTILLED, kind)
    return list(scores.per_class) if scores else []


def _class_gain(evaluation: Analysis, kind: str, name: str) -> float:
    after, before = (evaluation.scores(role, kind) for role in (Role.DISTILLED, Role.STUDENT))
    values = [scores.per_class.get(name, {}).get("AP", math.nan) if scores else math.nan for scores in (after, before)]
    return values[0] - values[1]


def _ap(evaluation: Analysis, role: Role, kind: str) -> float | None:
    scores = evaluation.scores(role, kind)
    value = scores.figures.get("AP") if scores else None
    return value if value is not None and math.isfinite(value) else None


def _beside(teacher: float | None) -> str:
    return "" if teacher is None else f"; the teacher has {percent(teacher)}"


def _gap(teacher: float | None, before: float, after: float) -> str:
    if teacher is None or not before < after < teacher:
        return _beside(teacher)
    return f", {100 * (after - before) / (teacher - before):.0f} % of the way to the teacher's {percent(teacher)}"
