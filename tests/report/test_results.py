"""results.json: written, read back, and refused where it is none."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from sample_run import large

from detkds.errors import ArtifactError
from detkds.evaluation.scores import Detector, Scores
from detkds.genome import Recipe
from detkds.report import Analysis, ReportData, read_results, results


def test_results_are_json_with_all_numbers(data: ReportData) -> None:
    loaded = json.loads(json.dumps(results(data), allow_nan=False))
    assert loaded["schema"] == "detkds.results/2"
    assert list(loaded["evaluation"]["detectors"]) == ["teacher", "student", "distilled"]
    figures = loaded["evaluation"]["detectors"]["distilled"]["kinds"]["bbox"]["figures"]
    assert figures["AP"] == 0.3753
    assert figures["APs"] is None
    assert Recipe.from_json({key: loaded["recipe"][key] for key in ("schema", "semantics", "genomes")}) == data.recipe
    assert loaded["recipe"]["formulas"]["global"][0] == r"$L_{\text{global}} = 8 \cdot D(s, t)$ on whole neck levels, mean over levels"
    for study, stored in zip(data.studies, loaded["studies"], strict=True):
        assert [trial["score"] for trial in stored["trials"]] == [trial.score for trial in study.trials]
        assert stored["best"] == (study.best_distilled.number if study.best_distilled else None)
        assert [one["slot"] for one in stored["importance"]] == list(study.slots)
    assert sum(cost["seconds"] for cost in loaded["costs"]) == pytest.approx(sum(cost.seconds or 0 for cost in data.costs))
    assert loaded["provenance"] == data.provenance
    assert len(loaded["fidelity"]["pairs"]) == loaded["fidelity"]["candidates"] == 12


def test_results_of_nothing() -> None:
    found = Analysis(0, {"teacher": Detector({"bbox": Scores({"AP": math.nan})})})
    loaded = json.loads(json.dumps(results(ReportData("early", found)), allow_nan=False))
    assert loaded["recipe"] is None
    assert loaded["studies"] == []
    assert loaded["evaluation"]["detectors"]["teacher"]["kinds"]["bbox"]["figures"] == {"AP": None}


def test_what_is_read_back_tells_the_same() -> None:
    written = json.dumps(results(large()))
    again = read_results(written, "results.json")
    assert json.dumps(results(again)) == written
    assert again.studies == large().studies
    assert again.recipe == large().recipe


def spoilt(data: ReportData, path: str, value: Any) -> str:
    content = copy.deepcopy(json.loads(json.dumps(results(data))))
    place = content
    *parents, last = path.split(".")
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[last] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "detkds.results/1"),
        ("run", 3),
        ("studies", {}),
        ("studies.0.trials", None),
        ("studies.0.trials.1.score", "high"),
        ("studies.0.trials.1.partial", 1),
        ("evaluation.schema", "x"),
        ("evaluation.images", 1.5),
        ("evaluation.detectors", []),
        ("evaluation.detectors.teacher.kinds", {"points": {}}),
        ("evaluation.detectors.teacher.kinds.bbox.figures.AP", True),
        ("evaluation.detectors.teacher.kinds.bbox.figures.AP", 10**400),
        ("evaluation.detectors.teacher.kinds.bbox.curves", {"0.50": 1}),
        ("evaluation.detectors.teacher.kinds.bbox.confusion.labels", ["one"]),
        ("evaluation.detectors.teacher.kinds.bbox.interval.AP", [1]),
        ("evaluation.examples.0.width", 0),
        ("evaluation.examples.0.truth.0.box", [1, 2, None, 4]),
        ("recipe.genomes", [{}]),
        ("costs.0.seconds", "long"),
        ("provenance.Run", "text"),
        ("fidelity", []),
    ],
)
def test_a_file_of_another_form_is_refused_by_name(data: ReportData, path: str, value: Any) -> None:
    with pytest.raises(ArtifactError, match=r"^runs/a/results\.json "):
        read_results(spoilt(data, path, value), "runs/a/results.json")


@pytest.mark.parametrize("content", ["", "[]", "null", "{", '{"schema": 3}', b"\xff\xfe", "[" * 100_000])
def test_what_is_no_json_of_ours_is_refused(content: str | bytes) -> None:
    with pytest.raises(ArtifactError, match="report the run again"):
        read_results(content, "x")
