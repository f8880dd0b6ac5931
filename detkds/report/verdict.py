"""The run's result in a sentence or two."""

from __future__ import annotations

import math

from detkds.report.data import ReportData, Role
from detkds.report.text import change, percent


def verdict(data: ReportData) -> str:
    """What distillation did to the AP, and how far it is to the teacher; no more than the evaluations say."""
    teacher, before, after = (_ap(data, role) for role in (Role.TEACHER, Role.BASELINE, Role.DISTILLED))
    if after is None:
        return "No distilled student has been evaluated yet." if data.detectors else "No detector has been evaluated yet."
    if before is None:
        return f"The distilled student reaches {percent(after)} AP{_beside(teacher)}."
    step = change(after, before)
    if step == "0.0":
        return f"Distillation leaves the student's AP at {percent(after)}{_beside(teacher)}."
    verb = "raises" if after > before else "lowers"
    return f"Distillation {verb} the student's AP from {percent(before)} to {percent(after)} ({step} points){_gap(teacher, before, after)}."


def _ap(data: ReportData, role: Role) -> float | None:
    detector = data.detector(role)
    value = detector.scores.figures.get("AP") if detector else None
    return value if value is not None and math.isfinite(value) else None


def _beside(teacher: float | None) -> str:
    return "" if teacher is None else f"; the teacher has {percent(teacher)}"


def _gap(teacher: float | None, before: float, after: float) -> str:
    if teacher is None or not before < after < teacher:
        return _beside(teacher)
    return f", {100 * (after - before) / (teacher - before):.0f} % of the way to the teacher's {percent(teacher)}"
