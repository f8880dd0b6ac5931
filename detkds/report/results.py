"""results.json: all that a report tells, unrounded, for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from detkds.report.data import Detector, ReportData, Study
from detkds.report.verdict import verdict

SCHEMA = "detkds.results/1"


def results(data: ReportData) -> dict[str, Any]:
    """A JSON object; AP in [0, 1], seconds, and null where a number is missing or not finite."""
    return {
        "schema": SCHEMA,
        "run": data.run,
        "verdict": verdict(data),
        "detectors": [_detector(detector) for detector in data.ranked],
        "recipe": None if data.recipe is None else {**data.recipe.to_json(), "text": str(data.recipe), "digest": data.recipe.digest},
        "formulas": {str(knowledge): text for knowledge, text in data.formulas.items()},
        "studies": [_study(study) for study in data.studies],
        "costs": [{"stage": cost.stage, "seconds": _number(cost.seconds), "student_steps": cost.student_steps} for cost in data.costs],
        "provenance": {heading: dict(entries) for heading, entries in data.provenance.items()},
    }


def _detector(detector: Detector) -> dict[str, Any]:
    scores = detector.scores
    return {
        "role": str(detector.role),
        "name": detector.name,
        "kind": scores.kind,
        "images": scores.images,
        "figures": _numbers(scores.figures),
        "per_class": _numbers(scores.per_class),
        "curves": {iou: [_number(value) for value in curve] for iou, curve in scores.curves.items()},
    }


def _study(study: Study) -> dict[str, Any]:
    return {
        "name": study.name,
        "best": study.best.number if study.best else None,
        "without_distillation": _number(study.without_distillation),
        "gain": _number(study.gain),
        "trials": [
            {
                "number": trial.number,
                "candidate": trial.text,
                "score": _number(trial.score),
                "state": trial.state.lower(),
                "reason": trial.reason,
                "seconds": _number(trial.seconds),
                "partial": trial.partial,
            }
            for trial in study.trials
        ],
    }


def _numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
