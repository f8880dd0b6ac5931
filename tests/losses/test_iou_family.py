"""The IoU family, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from detkds.genome import SLOTS, Knowledge
from detkds.genome.words import find
from detkds.losses.boxes import sides_from


def loss(word: str, student: tuple[float, ...], teacher: tuple[float, ...]) -> float:
    """Of boxes given by their left, top, right, bottom distances."""
    return float(find(Knowledge.LOCALIZATION, "distance", word).function("paper")(torch.tensor([student]), torch.tensor([teacher])))


# A square of side 2 around the origin inside a rectangle from x = -1 to 3: intersection 4, union 8, the enclosing box is the rectangle.
SQUARE, RECTANGLE = (1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 3.0, 1.0)


def test_iou():
    assert loss("iou", SQUARE, RECTANGLE) == pytest.approx(1 - 4 / 8)


def test_giou_of_nested_boxes_is_iou():
    assert loss("giou", SQUARE, RECTANGLE) == pytest.approx(1 - 4 / 8)


def test_giou_of_disjoint_boxes_counts_the_gap():
    # [0, 1] and [2, 3] on one line of height 1: union 2, enclosing box 3
    assert loss("giou", (0.0, 0.0, 1.0, 1.0), (-2.0, 0.0, 3.0, 1.0)) == pytest.approx(1 - (0 - (3 - 2) / 3), rel=1e-5)


def test_diou():
    # centres (0, 0) and (1, 0); diagonal of the enclosing box squared 4^2 + 2^2
    assert loss("diou", SQUARE, RECTANGLE) == pytest.approx(1 - 4 / 8 + 1 / 20)


def test_ciou():
    v = 4 / math.pi**2 * (math.atan(4 / 2) - math.atan(2 / 2)) ** 2
    alpha = v / (1 - 4 / 8 + v)
    assert loss("ciou", SQUARE, RECTANGLE) == pytest.approx(1 - 4 / 8 + 1 / 20 + alpha * v)


def test_eiou():
    # widths 2 and 4 in an enclosing width of 4; equal heights
    assert loss("eiou", SQUARE, RECTANGLE) == pytest.approx(1 - 4 / 8 + 1 / 20 + (2 - 4) ** 2 / 4**2)


def test_disjoint_boxes_are_far():
    near, far = (-1.5, 0.0, 2.5, 1.0), (-9.0, 0.0, 10.0, 1.0)
    for word in ("giou", "diou", "ciou", "eiou"):
        assert 1 < loss(word, (0.0, 0.0, 1.0, 1.0), near) < loss(word, (0.0, 0.0, 1.0, 1.0), far)
    assert loss("iou", (0.0, 0.0, 1.0, 1.0), far) == pytest.approx(1)


DEGENERATE = [(0.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 2.0), (1.0, 0.0, 1.0, 0.0), (-3.0, 1.0, 2.0, 1.0), (1e-6, 1e-6, 1e-6, 1e-6), (1e4,) * 4]


@pytest.mark.parametrize("word", [word for word in SLOTS[Knowledge.LOCALIZATION]["distance"] if word != "kl"])
@pytest.mark.parametrize("teacher", [*DEGENERATE, SQUARE])
def test_degenerate_boxes_have_finite_losses_and_gradients(word: str, teacher: tuple[float, ...]):
    student = torch.tensor([*DEGENERATE, SQUARE, RECTANGLE], requires_grad=True)
    losses = find(Knowledge.LOCALIZATION, "distance", word).function("paper")(student, torch.tensor(teacher).expand_as(student))
    losses.sum().backward()
    assert bool(losses.isfinite().all())
    assert student.grad is not None
    assert bool(student.grad.isfinite().all())


@pytest.mark.parametrize("word", [word for word in SLOTS[Knowledge.LOCALIZATION]["distance"] if word != "kl"])
@pytest.mark.parametrize("box", [*DEGENERATE, SQUARE, RECTANGLE])
def test_equal_boxes_have_no_loss(word: str, box: tuple[float, ...]):
    assert abs(loss(word, box, box)) <= 1e-6


def test_sides_are_measured_from_the_centre_in_units():
    boxes = torch.tensor([[10.0, 20.0, 50.0, 80.0]]).view(1, 4, 1, 1)
    centres, units = torch.tensor([[20.0, 40.0]]).view(1, 2, 1, 1), torch.tensor([[10.0, 5.0]]).view(1, 2, 1, 1)
    # left (20 - 10) / 10, top (40 - 20) / 5, right (50 - 20) / 10, bottom (80 - 40) / 5
    assert_close(sides_from(boxes, centres, units).flatten(), torch.tensor([1.0, 4.0, 3.0, 8.0]))


def test_a_unit_is_at_least_a_pixel():
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]]).view(1, 4, 1, 1)
    centres, units = torch.tensor([[2.0, 2.0]]).view(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)
    assert_close(sides_from(boxes, centres, units).flatten(), torch.tensor([2.0, 2.0, 2.0, 2.0]))
