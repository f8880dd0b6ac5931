"""The images on which two detectors differ most, by hand."""

from __future__ import annotations

import pytest
from small_worlds import NOWHERE, A, B, detection, matches, truth

from detkds.evaluation.differences import differences, examples
from detkds.evaluation.example import Box

TRUTH = truth([(1, 1, A), (2, 1, A), (2, 1, B), (3, 1, A), (4, 1, A)], images=6)
STUDENT = [detection(1, 1, A, 0.9), detection(3, 1, A, 0.9), detection(5, 1, A, 0.29)]
DISTILLED = [
    detection(1, 1, A, 0.5),
    detection(2, 1, A, 0.9),
    detection(2, 1, B, 0.4),
    detection(3, 1, A, 0.9),
    detection(3, 1, NOWHERE, 0.3),
]


def test_by_hand() -> None:
    # 1: same. 2: F1 0 against 2·2/(2+2) = 1. 3: 1 against 2·1/(2+1) = 2/3. 4: both 0. 5: the score is too low, both 1. 6: both 1.
    a, b = matches(TRUTH, DISTILLED), matches(TRUTH, STUDENT)
    assert differences(a, b, limit=9) == [(2, 1.0), (3, pytest.approx(1 / 3))]
    assert differences(b, a, limit=1) == [(2, 1.0)]
    assert differences(a, b, limit=0) == []


def test_of_equal_differences_more_hits_come_first_then_the_id() -> None:
    # 1 and 3 differ by one hit, 2 by two; F1 differs by 1 in each.
    a, b = matches(TRUTH, [detection(image, 1, box, 0.9) for image, box in ((3, A), (2, B), (2, A), (1, A))]), matches(TRUTH, [])
    assert [image for image, _ in differences(a, b, limit=9)] == [2, 1, 3]


def test_an_example_shows_what_was_counted() -> None:
    found = {"distilled": matches(TRUTH, DISTILLED), "student": matches(TRUTH, STUDENT)}
    first, second = examples(found, ("distilled", "student"), limit=2)
    assert (first.image_id, first.file, first.width, first.height, first.score) == (2, "examples/2.jpg", 200, 200, 1.0)
    assert first.truth == (Box((*A,), "cat"), Box((*B,), "cat"))
    assert first.detections == {"distilled": (Box((*A,), "cat", 0.9), Box((*B,), "cat", 0.4)), "student": ()}
    assert second.detections["distilled"] == (Box((*A,), "cat", 0.9), Box((*NOWHERE,), "cat", 0.3))
