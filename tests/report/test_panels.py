"""Detections beside the ground truth: what is right, wrong and missed."""

from __future__ import annotations

import base64
import dataclasses

import pytest
from sample_run import example

from detkds.evaluation.example import Box, Example
from detkds.report.panels import MAX_PICTURE, data_uri, iou, panels

CAT = Box((0, 0, 10, 10), "cat")


def shown(truth: tuple[Box, ...], detections: tuple[Box, ...]) -> tuple[str, list[str]]:
    """The caption and the fates of one detector's boxes."""
    _, panel = panels(Example(1, "f", 100, 100, 0.1, truth, {"mine": detections}))
    return panel.caption, [drawn.fate for drawn in panel.boxes]


@pytest.mark.parametrize(
    ("box", "overlap"),
    [
        ((0, 0, 10, 10), 1.0),
        ((5, 0, 10, 10), 50 / 150),
        ((20, 0, 5, 5), 0.0),
        ((0, 0, 0, 0), 0.0),
    ],
)
def test_overlap_by_hand(box: tuple[float, float, float, float], overlap: float) -> None:
    assert iou(CAT, Box(box, "cat")) == pytest.approx(overlap)


def test_right_wrong_and_missed() -> None:
    dog = Box((50, 50, 10, 10), "dog")
    right = Box((1, 0, 10, 10), "cat", 0.9)  # IoU 90 / 110
    again = Box((0, 1, 10, 10), "cat", 0.8)  # the cat is taken
    other = Box((50, 50, 10, 10), "cat", 0.7)  # a dog
    unsure = Box((50, 50, 10, 10), "dog", 0.2)  # below the score that is shown
    assert shown((CAT, dog), (unsure, again, other, right)) == ("1 right, 2 wrong, 1 missed", ["right", "wrong", "wrong", "missed"])


def test_what_lies_in_a_crowd_is_neither_right_nor_wrong() -> None:
    crowd = dataclasses.replace(CAT, box=(0, 0, 50, 50), crowd=True)
    assert shown((crowd,), (Box((5, 5, 4, 4), "cat", 0.9),)) == ("0 right, 0 wrong, 0 missed", [])
    assert shown((crowd,), (Box((5, 5, 4, 4), "dog", 0.9),)) == ("0 right, 1 wrong, 0 missed", ["wrong"])


def test_the_two_students_stand_beside_the_truth() -> None:
    found = example(3)
    with_teacher = dataclasses.replace(found, detections={"teacher": (), **found.detections})
    assert [(panel.title, panel.caption) for panel in panels(with_teacher)] == [
        ("ground truth", "5 objects"),
        ("student", "3 right, 1 wrong, 2 missed"),
        ("distilled student", "4 right, 0 wrong, 1 missed"),
    ]


def test_boxes_are_paths_in_pixels_of_the_image() -> None:
    truth, _ = panels(Example(1, "f", 100, 100, 0.1, (Box((1.25, 2, 3, 4), "cat"),), {"mine": ()}))
    assert truth.path("truth") == truth.path("") == "M1.2 2.0h3.0v4.0h-3.0z"


def test_a_picture_is_a_data_uri() -> None:
    content = b"\x89PNG" + bytes(3)
    assert data_uri(dataclasses.replace(example(0), picture=content)) == "data:image/png;base64," + base64.b64encode(content).decode()
    for refused in (None, b"", b"<svg>", b"GIF89a", b"\xff\xd8\xff" + bytes(MAX_PICTURE)):
        assert data_uri(dataclasses.replace(example(0), picture=refused)) is None


def test_the_largest_boxes_bear_labels() -> None:
    boxes = tuple(Box((0, 100 * size, 20 + size, 20), f"class {size}") for size in range(1, 15))
    truth, missing = panels(Example(1, "f", 400, 1600, 0.1, boxes, {"mine": ()}))
    assert [label.text for label in truth.labelled(12, 400, 1600)] == [f"class {size}" for size in range(14, 4, -1)]
    assert missing.labelled(12, 400, 1600) == []


def test_labels_hide_no_other_label_and_stay_in_the_image() -> None:
    # Twelve boxes on one place have room for three labels: above, inside and below.
    boxes = tuple(Box((280 - size, 2, 30, 60), "cell") for size in range(12))
    truth, _ = panels(Example(1, "f", 320, 240, 0.1, boxes, {"mine": ()}))
    labels = truth.labelled(12, 320, 240)
    assert 1 < len(labels) < 12
    assert not any(one.hides(other) for one in labels for other in labels if one is not other)
    for label in labels:
        assert label.x >= 0
        assert label.x + label.width <= 320
        assert label.height <= label.y <= 240
