"""The confusion of classes, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from small_worlds import NOWHERE, A, B, coco_example, detection, matches, truth

from detkds.evaluation.confusion import confusion

# rows cat, dog, background; columns likewise


def test_every_way_of_being_taken_by_hand() -> None:
    # Image 1: a cat found, a dog taken for a cat. Image 2: a dog missed by a box of too low a score, and a cat seen where nothing is.
    ground_truth = truth([(1, 1, A), (1, 2, B), (2, 2, A)])
    detections = [detection(1, 1, A, 0.9), detection(1, 1, B, 0.8), detection(2, 2, A, 0.29), detection(2, 1, NOWHERE, 0.3)]
    result = confusion(matches(ground_truth, detections))
    assert result.labels == ("cat", "dog", "background")
    assert result.matrix == ((1, 0, 0), (1, 0, 1), (1, 0, 0))
    assert (result.iou, result.score) == (0.5, 0.3)


def test_the_right_class_comes_first_by_hand() -> None:
    # The dog box scores higher, but the cat is found by the cat box, and the dog box has nothing left.
    result = confusion(matches(truth([(1, 1, A)]), [detection(1, 2, A, 0.9), detection(1, 1, A, 0.5)]))
    assert result.matrix == ((1, 0, 0), (0, 0, 0), (0, 1, 0))


def test_an_object_is_taken_once_by_the_higher_score() -> None:
    result = confusion(matches(truth([(1, 1, A)], classes=("cat", "dog", "cow")), [detection(1, 3, A, 0.5), detection(1, 2, A, 0.9)]))
    assert result.matrix == ((0, 1, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 1, 0))


def test_crowds_are_neither_row_nor_column() -> None:
    ground_truth = truth([(1, 1, A)])
    ground_truth["annotations"][0]["iscrowd"] = 1
    result = confusion(matches(ground_truth, [detection(1, 1, A, 0.9)]))
    assert not np.any(result.matrix)


def test_rows_are_objects_and_columns_detections(shared_data: Path) -> None:
    found = matches(*coco_example(shared_data, "bbox"))
    matrix = np.array(confusion(found, score=0.0).matrix)
    np.testing.assert_array_equal(matrix[:-1].sum(axis=1), found.truth.objects())
    counted = found.found.category[~found.ignored[0]]
    np.testing.assert_array_equal(matrix[:, :-1].sum(axis=0), np.bincount(counted, minlength=80))
    right = found.found.category[found.matched[0] >= 0]
    np.testing.assert_array_equal(np.diag(matrix)[:-1], np.bincount(right, minlength=80))
