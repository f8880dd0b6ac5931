"""Both programs that count COCO's figures, and this package's own matching, give the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_worlds import coco_example, matches, world

from detkds.evaluation import FIGURES, evaluate
from detkds.evaluation.engine import Counts, count
from detkds.evaluation.found import read_found
from detkds.evaluation.matching import COCO
from detkds.evaluation.ranking import curve, rankings
from detkds.evaluation.truth import Kind, read_truth

KNOWN: dict[Kind, dict[str, float]] = {
    "bbox": {"AP": 0.5046, "AP50": 0.6970, "AP75": 0.5730},
    "segm": {"AP": 0.3195, "AP50": 0.5623, "AP75": 0.2989},
}


def counts(ground_truth: dict[str, Any], detections: list[dict[str, Any]], kind: Kind) -> list[Counts]:
    truth = read_truth(ground_truth, kind)
    found = read_found(truth, detections, kind)
    return [count(truth, found, kind, engine=engine) for engine in ("faster", "pycocotools")]


def own_precision(ground_truth: dict[str, Any], detections: list[dict[str, Any]], kind: Kind) -> np.ndarray[Any, Any]:
    """(10, 101, C) as the programs give it, from `match`."""
    found = matches(ground_truth, detections, kind)
    precision = np.full((10, 101, len(found.truth.classes)), -1.0)
    for ranking in rankings(found):
        for threshold in range(10):
            counted = ~found.ignored[COCO, ranking.order][threshold]
            right = found.matched[threshold, ranking.order] >= 0
            precision[threshold, :, ranking.category] = curve(right[counted], len(ranking.object_images))
    return precision


@pytest.mark.parametrize("kind", KNOWN)
def test_known_figures_by_both(shared_data: Path, kind: Kind) -> None:
    example = coco_example(shared_data, kind)
    for engine in ("faster", "pycocotools"):
        result = evaluate(*example, kind=kind, engine=engine)
        assert {name: round(result.figures[name], 4) for name in KNOWN[kind]} == KNOWN[kind]
        assert tuple(result.figures) == FIGURES
        assert (result.images, result.detections) == (100, 734)


@pytest.mark.parametrize("kind", KNOWN)
def test_all_counts_agree_on_the_example(shared_data: Path, kind: Kind) -> None:
    example = coco_example(shared_data, kind)
    faster, reference = counts(*example, kind)
    np.testing.assert_allclose(faster.figures, reference.figures, rtol=0, atol=1e-12)
    np.testing.assert_allclose(faster.precision, reference.precision, rtol=0, atol=1e-12)
    np.testing.assert_allclose(own_precision(*example, kind), reference.precision[..., 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_all_counts_agree_on_hostile_boxes(seed: int) -> None:
    # Crowds, boxes without width, equal boxes and equal scores.
    example = world(seed)
    faster, reference = counts(*example, "bbox")
    np.testing.assert_allclose(faster.figures, reference.figures, rtol=0, atol=1e-12)
    np.testing.assert_allclose(faster.precision, reference.precision, rtol=0, atol=1e-12)
    np.testing.assert_allclose(own_precision(*example, "bbox"), reference.precision[..., 0], rtol=0, atol=1e-12)


def test_only_the_100_best_of_a_class_and_image_count() -> None:
    # 100 misses of .9, then the hit: too late for all three.
    ground_truth, _ = world(0)
    place = {"image_id": 3, "category_id": 1}
    ground_truth["annotations"] = [{**place, "id": 1, "bbox": [0, 0, 9, 9]}]
    misses = [{**place, "bbox": [50, 50, 9, 9], "score": 0.9}] * 100
    example = ground_truth, [*misses, {**place, "bbox": [0, 0, 9, 9], "score": 0.5}]
    for one in counts(*example, "bbox"):
        assert one.figures[0] == 0
    assert own_precision(*example, "bbox").max() == 0
    example[1].pop(0)  # now it is the 100th: precision 1 / 100 at every recall
    assert own_precision(*example, "bbox")[:, :, 1] == pytest.approx(0.01)
    assert evaluate(*example).figures["AP"] == pytest.approx(0.01)
