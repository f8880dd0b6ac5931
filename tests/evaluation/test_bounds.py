"""Where the AP can still end while a validation runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_worlds import IMAGES, coco_example, world

from detkds.errors import ArtifactError
from detkds.evaluation import bounds, evaluate


@pytest.mark.parametrize("seed", range(8))
def test_the_upper_bound_holds_and_falls(seed: int) -> None:
    truth, detections = world(seed)
    final = evaluate(truth, detections).figures["AP"]
    uppers = []
    for seen in range(IMAGES + 1):
        so_far = [detection for detection in detections if detection["image_id"] < seen]
        lower, upper = bounds(truth, so_far, range(seen))
        assert lower == pytest.approx(evaluate(truth, so_far).figures["AP"], abs=1e-12)
        assert final <= upper + 1e-12
        uppers.append(upper)
    assert uppers == sorted(uppers, reverse=True)
    assert uppers[-1] == pytest.approx(final, abs=1e-12)


def test_by_hand() -> None:
    # Three images with one object each; image 0 seen with a miss of score 5 only. Unseen perfect: two hits, then the miss: recall 2/3 at
    # precision 1, so recalls 0 … .66 of the 101 points count: 67/101. Unseen silent: 0.
    truth = {
        "images": [{"id": i} for i in range(3)],
        "categories": [{"id": 0}],
        "annotations": [{"id": i, "image_id": i, "category_id": 0, "bbox": [0, 0, 9, 9]} for i in range(3)],
    }
    miss = {"image_id": 0, "category_id": 0, "bbox": [50, 50, 9, 9], "score": 5}
    result = bounds(truth, [miss], [0])
    assert result.lower == 0
    assert result.upper == pytest.approx(67 / 101)


def test_a_false_positive_can_end_below_lower() -> None:
    # Why `lower` is an estimate: the seen hit (.5) gives 51/101 alone; a miss of .9 in the unseen image halves its precision.
    truth = {
        "images": [{"id": 0}, {"id": 1}],
        "categories": [{"id": 0}],
        "annotations": [{"id": i, "image_id": i, "category_id": 0, "bbox": [0, 0, 9, 9]} for i in range(2)],
    }
    hit = {"image_id": 0, "category_id": 0, "bbox": [0, 0, 9, 9], "score": 0.5}
    miss = {"image_id": 1, "category_id": 0, "bbox": [50, 50, 9, 9], "score": 0.9}
    assert bounds(truth, [hit], [0]).lower == pytest.approx(51 / 101)
    assert evaluate(truth, [hit, miss]).figures["AP"] == pytest.approx(51 / 202)


def test_detections_of_unseen_images_are_refused() -> None:
    truth, detections = world(0)
    with pytest.raises(ArtifactError, match="not in seen_image_ids"):
        bounds(truth, detections, [])


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_ends_of_the_range_on_real_ground_truth(shared_data: Path, kind: Any) -> None:
    truth, detections = coco_example(shared_data, kind)
    assert bounds(truth, [], [], kind=kind) == (0.0, pytest.approx(1))
    final = evaluate(truth, detections, kind=kind).figures["AP"]
    assert bounds(truth, detections, {image["id"] for image in truth["images"]}, kind=kind) == pytest.approx((final, final))
