"""The COCO figures against figures counted by hand, and what is refused."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask
from small_worlds import NOWHERE, A, B, detection, truth

from detkds.errors import ArtifactError, DatasetError
from detkds.evaluation import evaluate


def test_a_hit_before_a_miss_by_hand() -> None:
    # Two objects; one found exactly (.9), one false positive (.8). Recall reaches 1/2 at precision 1 and never more: of the 101 recall
    # points 0, .01 … 1 the first 51 have precision 1, so AP = AP50 = 51/101. Recall with one detection an image is 1/2.
    result = evaluate(truth([(1, 1, A), (2, 1, B)]), [detection(1, 1, A, 0.9), detection(2, 1, NOWHERE, 0.8)])
    assert result.figures["AP"] == pytest.approx(51 / 101)
    assert result.figures["AP50"] == pytest.approx(51 / 101)
    assert result.figures["AR1"] == pytest.approx(0.5)
    assert (result.images, result.detections) == (2, 2)


def test_iou_decides_at_which_thresholds_a_box_counts() -> None:
    # 40 x 40 against 40 x 32.8 inside it: IoU = .82, a hit at the 7 thresholds .50 … .80 of the 10, so AP = .7, AP50 = AP75 = 1.
    # 40 x 40 = 1,600 square pixels lies between 32² and 96²: medium.
    result = evaluate(truth([(1, 1, A)]), [detection(1, 1, [10.0, 10.0, 40.0, 32.8], 0.5)])
    assert result.figures["AP"] == pytest.approx(0.7)
    assert result.figures["AP50"] == result.figures["AP75"] == pytest.approx(1)
    assert result.figures["APm"] == pytest.approx(0.7)
    assert math.isnan(result.figures["APs"])
    assert math.isnan(result.figures["APl"])


def test_no_detection_gives_zeros_and_nan_where_no_object_has_the_size() -> None:
    result = evaluate(truth([(1, 1, A)]), [])
    assert {name: value for name, value in result.figures.items() if not math.isnan(value)} == dict.fromkeys(
        ("AP", "AP50", "AP75", "APm", "AR1", "AR10", "AR100", "ARm"), 0.0
    )


def test_no_object_at_all_gives_nan() -> None:
    assert all(map(math.isnan, evaluate(truth([]), [detection(1, 1, A, 0.5)]).figures.values()))


def test_an_annotation_of_id_0_is_matched() -> None:
    # pycocotools alone takes the matched id 0 for "no match" and gives 0 here.
    ground_truth = truth([(1, 1, A)])
    assert ground_truth["annotations"][0]["id"] == 0
    assert evaluate(ground_truth, [detection(1, 1, A, 0.5)]).figures["AP"] == pytest.approx(1)


def test_crowds_are_neither_hits_nor_misses() -> None:
    ground_truth = truth([(1, 1, A), (1, 1, B)])
    ground_truth["annotations"][1]["iscrowd"] = 1
    result = evaluate(ground_truth, [detection(1, 1, B, 0.9), detection(1, 1, A, 0.5)])
    assert result.figures["AP"] == pytest.approx(1)


def test_iscrowd_and_area_may_be_absent() -> None:
    ground_truth = truth([(1, 1, A)])
    del ground_truth["annotations"][0]["iscrowd"], ground_truth["annotations"][0]["area"]
    assert evaluate(ground_truth, [detection(1, 1, A, 0.5)]).figures["APm"] == pytest.approx(1)


def square(side: int) -> dict[str, Any]:
    pixels = np.zeros((200, 200), np.uint8, order="F")
    pixels[:side, :side] = 1
    rle = mask.encode(pixels)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def test_masks_are_sized_by_their_pixels_even_beside_a_box() -> None:
    # 20 x 20 pixels = small, though the box that comes along is 100 x 100 = large: a false mask of small size counts against APs.
    ground_truth = truth([(1, 1, [0.0, 0.0, 20.0, 20.0])])
    ground_truth["annotations"][0]["segmentation"] = square(20)
    hit = {"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": square(20), "bbox": [0, 0, 100, 100]}
    miss = {**hit, "image_id": 2, "score": 0.9}
    assert evaluate(ground_truth, [hit], kind="segm").figures["APs"] == pytest.approx(1)
    # The miss outranks the hit: precision 1/2 at every recall.
    assert evaluate(ground_truth, [hit, miss], kind="segm").figures["APs"] == pytest.approx(0.5)


def test_nothing_is_printed_and_nothing_given_is_changed(capsys: pytest.CaptureFixture[str]) -> None:
    ground_truth, detections = truth([(1, 1, A)]), [detection(1, 1, A, 0.5)]
    before = copy.deepcopy((ground_truth, detections))
    evaluate(ground_truth, detections)
    assert (ground_truth, detections) == before
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 99}, "detection 1 must name an image and a category of the ground truth, but names image 99"),
        ({"image_id": []}, "detection 1 must name an image"),
        ({"category_id": 7}, "category 7"),
        ({"score": math.nan}, "finite score, but has nan"),
        ({"score": "high"}, "finite score"),
        ({"score": None}, "finite score"),
        ({"bbox": [0, 0, math.inf, 1]}, "finite numbers"),
        ({"bbox": [0, 0, -1, 1]}, "width and height >= 0"),
        ({"bbox": [0, 0, 1]}, "bbox"),
        ({"bbox": None}, "bbox"),
        ({"bbox": [10**400, 0, 1, 1]}, "bbox"),
    ],
)
def test_a_bad_detection_is_named(change: dict[str, Any], message: str) -> None:
    good = detection(1, 1, A, 0.5)
    with pytest.raises(ArtifactError, match=message.replace("[", r"\[")):
        evaluate(truth([(1, 1, A)]), [good, good | change])


def test_a_detection_must_be_an_object() -> None:
    with pytest.raises(ArtifactError, match="detection 0 must be an object"):
        evaluate(truth([(1, 1, A)]), [5])  # type: ignore[list-item]


@pytest.mark.parametrize("segmentation", [None, [[0, 0, 1, 1, 2, 2]], {"size": [5, 5], "counts": "0"}, {"size": [200, 200], "counts": [1]}])
def test_a_mask_must_be_an_rle_of_the_image_size(segmentation: Any) -> None:
    wrong = {"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": segmentation}
    with pytest.raises(ArtifactError, match="compressed RLE segmentation of the image's size"):
        evaluate(truth([]), [wrong], kind="segm")


def test_broken_run_lengths_are_refused() -> None:
    # A run of 2 ** 32 - 499 pixels, as pycocotools decodes it.
    wrong = {"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": {"size": [200, 200], "counts": "oooo"}}
    with pytest.raises(ArtifactError, match="mask inside its image"):
        evaluate(truth([]), [wrong], kind="segm")


def with_mask(segmentation: Any) -> dict[str, Any]:
    ground_truth = truth([(1, 1, A)])
    ground_truth["annotations"][0]["segmentation"] = segmentation
    return ground_truth


@pytest.mark.parametrize("form", ["polygon", "plain", "compressed"])
def test_masks_come_in_three_forms(form: str) -> None:
    # The square of 20 x 20 pixels at the origin: as a polygon; as runs down the columns, 0 outside first; as the program packs them.
    plain = {"size": [200, 200], "counts": [0, *[20, 180] * 19, 20, 180 + 180 * 200]}
    forms = {"polygon": [[0, 0, 20, 0, 20, 20, 0, 20]], "plain": plain, "compressed": square(20)}
    hit = {"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": square(20)}
    assert evaluate(with_mask(forms[form]), [hit], kind="segm").figures["AP"] == pytest.approx(1)


def test_a_bad_ground_truth_is_a_dataset_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="list 'images'"):
        evaluate({"annotations": [], "categories": []}, [])
    with pytest.raises(DatasetError, match="image 9"):
        evaluate(truth([(9, 1, A)]), [])
    with pytest.raises(DatasetError, match="'category_id'"):
        evaluate({**truth([]), "annotations": [{"image_id": 1, "area": 1}]}, [])
    with pytest.raises(DatasetError, match="image id '7', which is not a whole number"):
        evaluate({**truth([]), "images": [{"id": "7"}]}, [])
    with pytest.raises(DatasetError, match="bbox that is not finite"):
        evaluate(truth([(1, 1, [math.nan, 0.0, 1.0, 1.0])]), [])
    with pytest.raises(DatasetError, match="mask of size"):
        evaluate(with_mask({"size": [5, 5], "counts": "0"}), [], kind="segm")
    with pytest.raises(DatasetError, match="stumbles over"):
        evaluate(with_mask([]), [], kind="segm")
    with pytest.raises(DatasetError, match="cannot be read"):
        evaluate(tmp_path / "absent.json", [])
    (tmp_path / "torn.json").write_text('{"images": [')
    with pytest.raises(DatasetError, match=r"torn\.json"):
        evaluate(tmp_path / "torn.json", [])
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(DatasetError, match=r"deep\.json"):
        evaluate(tmp_path / "deep.json", [])
