"""Everything in one: what `analyse` puts together and how it is written and read."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_worlds import NOWHERE, A, B, coco_example, detection, truth

from detkds.errors import ArtifactError, DatasetError
from detkds.evaluation import FIGURES, evaluate
from detkds.evaluation.analysis import analyse
from detkds.evaluation.error_curves import ERROR_CURVES
from detkds.evaluation.result import Analysis
from detkds.evaluation.scores import Cost
from detkds.evaluation.tide import TIDE


@pytest.fixture(scope="module")
def example(shared_data: Path) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """COCO's example with boxes and masks in one list; the student lacks every third detection, and blind sees nothing."""
    ground_truth, boxes = coco_example(shared_data, "bbox")
    _, masks = coco_example(shared_data, "segm")
    both = [box | shape for box, shape in zip(boxes, masks, strict=True)]
    student = [one for number, one in enumerate(both) if number % 3]
    return ground_truth, {"distilled": both, "student": student, "blind": []}


@pytest.fixture(scope="module")
def analysis(example: Any) -> Analysis:
    return analyse(*example, kinds=("bbox", "segm"), samples=200, examples=4)


def test_json_round_trip(analysis: Analysis) -> None:
    described = analysis.described("student", "RetinaNet", Cost(11, None, {"median": 2.0, "low": 1.5, "high": 3.0}, "CPU", (320, 416)))
    text = json.dumps(described.to_json(), allow_nan=False)
    again = Analysis.read(json.loads(text))
    assert again.to_json() == json.loads(text)
    assert again.detectors["student"].cost == described.detectors["student"].cost
    assert again.detectors["student"].description == "RetinaNet"
    assert again.comparisons == analysis.comparisons
    assert again.examples == analysis.examples
    assert math.isnan(again.detectors["blind"].kinds["bbox"].per_class["toaster"]["AP"])


def test_everything_is_there(analysis: Analysis) -> None:
    assert (analysis.images, len(analysis.classes)) == (100, 80)
    assert {name: tuple(one.kinds) for name, one in analysis.detectors.items()} == {
        "distilled": ("bbox", "segm"),
        "student": ("bbox", "segm"),
        "blind": ("bbox",),  # who finds nothing finds no masks
    }
    result = analysis.detectors["distilled"].kinds["segm"]
    assert tuple(result.figures) == FIGURES
    assert tuple(result.error_curves) == ERROR_CURVES
    assert tuple(result.tide) == TIDE
    assert tuple(result.per_class) == analysis.classes
    assert result.confusion.labels == (*analysis.classes, "background")


def test_the_parts_fit_together(analysis: Analysis, example: Any) -> None:
    for kind in ("bbox", "segm"):
        result = analysis.detectors["distilled"].kinds[kind]
        assert result.figures == evaluate(example[0], example[1]["distilled"], kind=kind).figures  # type: ignore[arg-type]
        for figure in ("AP", "AP50", "AP75", "APs", "APm", "APl"):
            classes = [one[figure] for one in result.per_class.values()]
            assert np.nanmean(classes) == pytest.approx(result.figures[figure])
        for iou, name in (("0.50", "C50"), ("0.75", "C75")):
            assert np.mean(result.curves[iou]) == pytest.approx(result.figures[f"AP{iou[2:]}"])
            assert result.error_curves[name] == pytest.approx(result.curves[iou], abs=1e-12)
        for figure, (low, high) in result.interval.bounds.items():
            assert 0 <= low < result.figures[figure] < high <= 1
        assert sum(one["objects"] for one in result.per_class.values()) == sum(sum(row) for row in result.confusion.matrix[:-1])


def test_comparisons_are_of_pairs_that_are_there(analysis: Analysis) -> None:
    assert [(one.a, one.b, one.kind, one.figure) for one in analysis.comparisons] == [
        ("distilled", "student", kind, figure) for kind in ("bbox", "segm") for figure in ("AP", "AP50")
    ]
    for one in analysis.comparisons:
        a, b = (analysis.detectors[name].kinds[one.kind].figures[one.figure] for name in (one.a, one.b))
        assert one.difference == a - b
        assert 0 < one.low < one.high
        assert one.p == pytest.approx(2 / 201)  # all 200 differences are above 0


def test_examples_show_all_detectors_by_falling_difference(analysis: Analysis) -> None:
    scores = [one.score for one in analysis.examples]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    assert all(set(one.detections) == {"distilled", "student", "blind"} and one.truth for one in analysis.examples)


def test_the_same_arguments_give_the_same_bytes_and_change_nothing(example: Any) -> None:
    before = copy.deepcopy(example)
    texts = {json.dumps(analyse(*example, samples=20, examples=2, seed=5).to_json()) for _ in range(2)}
    assert len(texts) == 1
    assert example == before
    assert json.dumps(analyse(*example, samples=20, examples=2, seed=6).to_json()) not in texts


def test_by_hand() -> None:
    # One cat found, one missed; one dog on nothing. cat: recall 1/2 at precision 1: 51/101. dog has no object: nan, and not in the mean.
    ground_truth = truth([(1, 1, A), (2, 1, B)])
    result = analyse(ground_truth, {"one": [detection(1, 1, A, 0.9), detection(1, 2, NOWHERE, 0.8)]}).detectors["one"].kinds["bbox"]
    assert result.per_class["cat"]["AP"] == pytest.approx(51 / 101)
    assert result.per_class["cat"]["APm"] == pytest.approx(51 / 101)  # 40 x 40 pixels lie between 32² and 96²
    assert math.isnan(result.per_class["cat"]["APl"])
    assert math.isnan(result.per_class["dog"]["AP"])
    assert (result.per_class["cat"]["objects"], result.per_class["dog"]["objects"]) == (2, 0)
    assert result.curves["0.50"] == pytest.approx((1.0,) * 51 + (0.0,) * 50)
    assert result.confusion.matrix == ((1, 0, 1), (0, 0, 0), (0, 1, 0))


def test_classes_that_share_a_name_are_told_apart() -> None:
    result = analyse(truth([(1, 1, A), (1, 2, B)], classes=("cat", "cat")), {"one": [detection(1, 2, B, 0.5)]})
    assert result.classes == ("cat (1)", "cat (2)")
    assert [one["AP"] for one in result.detectors["one"].kinds["bbox"].per_class.values()] == [0.0, pytest.approx(1)]


@pytest.mark.parametrize("engine", ["faster", "pycocotools"])
def test_nothing_to_see_is_no_error(engine: Any) -> None:
    both = {"distilled": [], "student": []}
    for ground_truth in (truth([]), truth([], classes=()), truth([], images=0)):
        result = analyse(ground_truth, both, samples=3, examples=1, engine=engine)
        assert math.isnan(result.comparisons[0].p)
        assert Analysis.read(json.loads(json.dumps(result.to_json(), allow_nan=False))).examples == ()


def test_faults_name_the_detector() -> None:
    with pytest.raises(ArtifactError, match="student: detection 0 must name an image"):
        analyse(truth([]), {"teacher": [], "student": [detection(99, 1, A, 0.5)]})
    with pytest.raises(DatasetError, match="'segmentation'"):
        analyse(truth([(1, 1, A)]), {"teacher": []}, kinds=("segm",))


def test_another_schema_or_half_of_it_is_refused(analysis: Analysis) -> None:
    with pytest.raises(ValueError, match="is expected, got"):
        Analysis.read({"schema": "detkds.evaluation/1"})
    half = json.loads(json.dumps(analysis.to_json()))
    del half["detectors"]["student"]["kinds"]["bbox"]["figures"]
    with pytest.raises(KeyError, match="figures"):
        Analysis.read(half)
