"""The seven curves of Figure 7 against COCO's own evaluation of relabelled ground truths, and by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from small_worlds import NOWHERE, A, B, coco_example, detection, matches, truth, world

from detkds.evaluation.error_curves import ERROR_CURVES, error_curves
from detkds.evaluation.truth import Kind


def relabelled(ground_truth: dict[str, Any], detections: list[dict[str, Any]], kind: Kind, category: int, group: set[int]) -> Any:
    """(101,) precision of one category at IoU .1 when the objects of `group` are crowds of it: how COCO's analysis forgives them."""
    annotations = [
        {
            "area": one["bbox"][2] * one["bbox"][3],
            **one,
            "id": number,
            "category_id": category if one["category_id"] in group else one["category_id"],
            "iscrowd": 1 if one["category_id"] in group else one["iscrowd"],
        }
        for number, one in enumerate(ground_truth["annotations"], start=1)
    ]
    index = COCO()
    index.dataset = {"images": ground_truth["images"], "categories": ground_truth["categories"], "annotations": annotations}
    index.createIndex()
    evaluator = COCOeval(index, index.loadRes([dict(one) for one in detections]), kind)
    evaluator.params.iouThrs, evaluator.params.maxDets, evaluator.params.catIds = [0.1], [100], [category]
    evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluator.evaluate()
    evaluator.accumulate()
    return evaluator.eval["precision"][0, :, 0, 0, 0]


def forgiven(ground_truth: dict[str, Any], detections: list[dict[str, Any]], kind: Kind) -> dict[str, Any]:
    """Sim, Oth and BG as means over the categories with objects."""
    rows: dict[str, list[Any]] = {"Sim": [], "Oth": [], "BG": []}
    categories = ground_truth["categories"]
    for own in categories:
        if all(one["category_id"] != own["id"] or one["iscrowd"] for one in ground_truth["annotations"]):
            continue
        others = {one["id"] for one in categories} - {own["id"]}
        alike = {one["id"] for one in categories if one.get("supercategory") == own.get("supercategory") is not None} - {own["id"]}
        for name, group in (("Sim", alike), ("Oth", others)):
            rows[name].append(relabelled(ground_truth, detections, kind, own["id"], group))
        rows["BG"].append(rows["Oth"][-1] > 0)
    return {name: np.mean(values, axis=0) for name, values in rows.items()}


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_as_coco_on_the_example(shared_data: Path, kind: Kind) -> None:
    # The part of it with animals and vehicles, for time.
    ground_truth, detections = coco_example(shared_data, kind)
    ground_truth["categories"] = [one for one in ground_truth["categories"] if one["supercategory"] in ("animal", "vehicle")]
    kept = {one["id"] for one in ground_truth["categories"]}
    ground_truth["annotations"] = [one for one in ground_truth["annotations"] if one["category_id"] in kept]
    detections = [one for one in detections if one["category_id"] in kept]
    curves = error_curves(matches(ground_truth, detections, kind))
    for name, expected in forgiven(ground_truth, detections, kind).items():
        np.testing.assert_allclose(curves[name], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("group", [None, "thing"])
@pytest.mark.parametrize("seed", range(4))
def test_as_coco_on_hostile_boxes(seed: int, group: str | None) -> None:
    ground_truth, detections = world(seed)
    for category in ground_truth["categories"]:
        category["supercategory"] = group
    curves = error_curves(matches(ground_truth, detections))
    for name, expected in forgiven(ground_truth, detections, "bbox").items():
        np.testing.assert_allclose(curves[name], expected, rtol=0, atol=1e-12)
    values = np.array([curves[name] for name in ERROR_CURVES])
    assert (np.diff(values, axis=0) >= -1e-12).all()  # each forgives more


def test_each_kind_by_hand() -> None:
    # Cats in four images; cat and dog are pets, car is not. By score: a cat on a dog, a cat on a car, a cat on nothing, a cat at IoU .4,
    # a cat at IoU .6, a cat at IoU 1; one cat is never seen. Right at .75: the 6th; at .5: 5th, 6th; at .1: 4th, 5th, 6th; of 4 objects.
    side = [100.0, 100.0, 40.0, 40.0]
    ground_truth = truth([(1, 1, A), (2, 1, A), (3, 1, A), (4, 1, A), (1, 2, side), (2, 3, side)], images=4, classes=("cat", "dog", "car"))
    for category, theme in zip(ground_truth["categories"], ("pet", "pet", "vehicle"), strict=True):
        category["supercategory"] = theme
    boxes = [(1, side), (2, side), (3, NOWHERE), (1, [10.0, 10.0, 40.0, 16.0]), (2, [10.0, 10.0, 40.0, 24.0]), (3, A)]
    cats = [detection(image, 1, box, 0.9 - number / 10) for number, (image, box) in enumerate(boxes)]
    others = [detection(1, 2, side, 0.9), detection(2, 3, side, 0.9)]  # dog and car are perfect: 1 in every curve
    curves = error_curves(matches(ground_truth, [*cats, *others]))
    cat = {name: [3 * value - 2 for value in curve] for name, curve in curves.items()}
    # C75: precision 1/6 up to recall 1/4. C50: 2/6 up to 1/2. Loc: 3/6 up to 3/4. Sim: without the 1st, 3/5. Oth: without the 2nd, 3/4.
    # BG: 1 up to 3/4.
    expected = {
        "C75": (1 / 6, 26),
        "C50": (2 / 6, 51),
        "Loc": (3 / 6, 76),
        "Sim": (3 / 5, 76),
        "Oth": (3 / 4, 76),
        "BG": (1, 76),
        "FN": (1, 101),
    }
    for name, (precision, recalls) in expected.items():
        assert cat[name] == pytest.approx([precision] * recalls + [0] * (101 - recalls), abs=1e-12)


def test_without_supercategories_nothing_is_similar() -> None:
    example = truth([(1, 1, A), (1, 2, B)]), [detection(1, 1, B, 0.9), detection(1, 1, A, 0.5)]
    curves = error_curves(matches(*example))
    assert curves["Sim"] == curves["Loc"] != curves["Oth"]


def test_no_object_gives_nan() -> None:
    assert all(math.isnan(value) for curve in error_curves(matches(truth([]), [])).values() for value in curve)
