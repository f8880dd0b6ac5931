"""results.json: everything a report shows, unrounded, for programs; it is read back to compare runs.

Schema detkds.results/2, an object:

* `run`, `verdict`: the name, and the result in a sentence;
* `evaluation`: null, or the content of evaluation.json (schema detkds.evaluation/2), examples without their pictures;
* `recipe`: null, or the recipe (schema detkds.recipe/1) with `text`, `digest` and `formulas`, knowledge to lines of TeX;
* `studies`: `name`, `algorithm`, `score` (`ap` or `loss`), `best` (a trial's number), `without_distillation`, `gain`,
  `importance` (slot by slot), `trials`;
* `fidelity`: candidates trained twice: `pairs`, and the correlations `spearman`, `kendall`, `pearson`;
* `leaderboard`: null, or `score`, `level`, `images` and `rows`, the chosen recipe first; `curves`: `name` and `points`, (step, loss);
* `costs`: `stage`, `seconds`, `student_steps`; `provenance`: heading to key to value.

AP and scores are in [0, 1]; a number that is missing or not finite is null.
"""

from __future__ import annotations

import json
from typing import Any

from detkds.errors import ArtifactError, GenomeError
from detkds.evaluation.result import Analysis
from detkds.genome import Recipe
from detkds.genome.formula import tex
from detkds.reading import as_json, mapping, sequence, text
from detkds.report.correlation import agreement
from detkds.report.curve import LossCurve
from detkds.report.data import Fidelity, ReportData, StageCost
from detkds.report.importance import importances
from detkds.report.leaderboard import Leaderboard
from detkds.report.study import ReportedStudy
from detkds.report.verdict import verdict

SCHEMA = "detkds.results/2"


def results(data: ReportData) -> dict[str, Any]:
    """The JSON object of a run."""
    return {
        "schema": SCHEMA,
        "run": data.run,
        "verdict": verdict(data),
        "evaluation": None if data.evaluation is None else data.evaluation.to_json(),
        "recipe": None if data.recipe is None else _recipe(data.recipe),
        "studies": [_study(study) for study in data.studies],
        "fidelity": _fidelity(data),
        "leaderboard": None if data.leaderboard is None else as_json(data.leaderboard.to_json()),
        "curves": [as_json(curve.to_json()) for curve in data.curves],
        "costs": [as_json(cost) for cost in data.costs],
        "provenance": as_json(data.provenance),
    }


def read_results(content: bytes | str, name: str) -> ReportData:
    """The run that a results.json describes; `name` names the file in messages.

    Raises:
        ArtifactError: it is not a results.json of this schema.
    """
    try:
        data = json.loads(content)
        found = data["schema"] if isinstance(data, dict) and "schema" in data else str(data)
        if found != SCHEMA:
            raise ArtifactError(f"{name} must have the schema {SCHEMA!r}, got {str(found)[:40]!r}; report the run again.")
        return _read(data)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, GenomeError) as error:
        raise ArtifactError(
            f"{name} is not a results.json of a run: {type(error).__name__} {str(error)[:120]}; report the run again."
        ) from None


def _read(data: Any) -> ReportData:
    recipe, evaluation = data["recipe"], data["evaluation"]
    return ReportData(
        run=text(data["run"]),
        evaluation=None if evaluation is None else Analysis.read(evaluation),
        studies=tuple(map(ReportedStudy.read, sequence(data["studies"]))),
        recipe=None if recipe is None else Recipe.from_json(recipe),
        fidelity=tuple(map(Fidelity.read, sequence(data["fidelity"]["pairs"]))),
        costs=tuple(map(StageCost.read, sequence(data["costs"]))),
        leaderboard=None if data.get("leaderboard") is None else Leaderboard.read(data["leaderboard"]),  # absent in older files
        curves=tuple(map(LossCurve.read, sequence(data.get("curves", [])))),
        provenance={
            text(heading): {text(key): text(value) for key, value in mapping(entries).items()}
            for heading, entries in mapping(data["provenance"]).items()
        },
    )


def _recipe(recipe: Recipe) -> dict[str, Any]:
    formulas: dict[str, list[str]] = {}
    for genome in recipe.genomes:  # some methods have several losses of one knowledge
        formulas.setdefault(str(genome.knowledge), []).extend(tex(genome, recipe.semantics))
    return {**recipe.to_json(), "text": str(recipe), "digest": recipe.digest, "formulas": formulas}


def _study(study: ReportedStudy) -> dict[str, Any]:
    return {
        "name": study.name,
        "algorithm": study.algorithm,
        "score": study.scored_by,
        "best": study.best_distilled.number if study.best_distilled else None,
        "without_distillation": as_json(study.baseline),
        "gain": as_json(study.gain),
        "importance": [as_json(one) for one in importances(study)],
        "trials": [as_json(trial) for trial in study.trials],
    }


def _fidelity(data: ReportData) -> dict[str, Any]:
    found = agreement([pair.proxy for pair in data.fidelity], [pair.longer for pair in data.fidelity])
    return {"pairs": [as_json(pair) for pair in data.fidelity], **as_json(found)}
