"""Logits and localization losses, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from detkds.genome import Genome
from detkds.losses import DistillLoss, Response, Views

# One level of two cells around x = 4 and x = 12, y = 4, stride 8.
CENTRES = torch.tensor([[[[4.0, 12.0]], [[4.0, 4.0]]]])
UNITS = torch.full((1, 2, 1, 1), 8.0)


def response(scores: list[float], boxes: list[tuple[float, float, float, float]]) -> Response:
    """One class; one box a cell."""
    return Response((torch.tensor(scores).view(1, 1, 1, 2),), (torch.tensor(boxes).T.reshape(1, 4, 1, 2),), (CENTRES,), (UNITS,))


def loss(text: str, student: Response, teacher: Response, semantics: str = "paper") -> Tensor:
    views = Views((), (), (), (), (8, 16), student, teacher)
    return DistillLoss(Genome.parse(text), semantics)(views, 0)


SQUARE, WIDE = (0.0, 0.0, 8.0, 8.0), (0.0, 0.0, 16.0, 8.0)  # IoU 1/2
SHIFTED = (8.0, 0.0, 16.0, 8.0)  # around the second cell, IoU 1 with itself and 1/2 with WIDE


def test_localization_weighs_cells_by_the_teachers_score():
    # cell 0: 1 - 1/2 with score 0.8; cell 1: equal boxes with score 0.2
    student, teacher = response([0, 0], [SQUARE, SHIFTED]), response([0.8, 0.2], [WIDE, SHIFTED])
    assert float(loss("localization: none | iou", student, teacher)) == pytest.approx(0.5 * 0.8 / (0.8 + 0.2))


def test_cells_of_an_unsure_teacher_do_not_count():
    student, teacher = response([1, 1], [SQUARE, SHIFTED]), response([0.05, 0.2], [WIDE, WIDE])
    assert float(loss("localization: none | iou", student, teacher)) == pytest.approx(0.5)


def test_without_a_confident_cell_there_is_no_loss():
    student, teacher = response([1, 1], [SQUARE, SHIFTED]), response([0.01, 0.02], [WIDE, WIDE])
    student.boxes[0].requires_grad_()
    result = loss("localization: sigmoid | ciou", student, teacher)
    result.backward()
    assert float(result.detach()) == 0
    assert student.boxes[0].grad is not None
    assert_close(student.boxes[0].grad, torch.zeros(1, 4, 1, 2))


def test_transforms_act_on_sides_in_strides():
    # Cell 0: sides of SQUARE are 1/2 each, of WIDE 1/2, 1/2, 3/2, 1/2 strides.
    # Their squares: a square of side 1/2 in a box of width 1/4 + 9/4 and height 1/2: IoU 1/4 / (5/4) = 1/5
    student, teacher = response([0, 0], [SQUARE, SHIFTED]), response([1, 0], [WIDE, SHIFTED])
    assert float(loss("localization: pow2 | iou", student, teacher)) == pytest.approx(1 - 1 / 5, rel=1e-5)
    # sigmoid: a = sigmoid(1/2), b = sigmoid(3/2): IoU 2a 2a / (2a (a + b))
    a, b = (1 / (1 + math.exp(-x)) for x in (0.5, 1.5))
    assert float(loss("localization: sigmoid | iou", student, teacher)) == pytest.approx(1 - 2 * a / (a + b), rel=1e-5)
    # softmax over the four sides: SQUARE 1/4 each; WIDE 1 : 1 : e : 1
    p, q = 1 / (3 + math.e), math.e / (3 + math.e)
    inner = (0.25 + min(0.25, q)) * 2 * min(0.25, p) if p > 0.25 else (p + min(0.25, q)) * 2 * p
    union = 0.25 + (p + q) * 2 * p - inner
    assert float(loss("localization: softmax_C | iou", student, teacher)) == pytest.approx(1 - inner / union, rel=1e-5)


def test_logits_count_all_cells():
    student, teacher = response([0.1, 0.9], [SQUARE] * 2), response([0.4, 0.7], [WIDE] * 2)
    assert float(loss("logits: none | l1", student, teacher)) == pytest.approx((0.3 + 0.2) / 2)
    assert float(loss("logits: none | l2 x 5", student, teacher)) == pytest.approx(5 * (0.09 + 0.04) / 2)


def test_levels_are_averaged_or_under_released_added():
    student, teacher = response([0.1, 0.9], [SQUARE] * 2), response([0.4, 0.7], [WIDE] * 2)
    doubled = [Response(side.scores * 2, side.boxes * 2, side.centres * 2, side.units * 2) for side in (student, teacher)]
    assert float(loss("logits: none | l1", *doubled)) == pytest.approx(0.25)
    assert float(loss("logits: none | l1", *doubled, "released")) == pytest.approx(0.5)


@pytest.mark.parametrize("text", ["logits: norm_batch | pearson", "logits: none | cor", "localization: softmax_N | giou"])
def test_no_proposals_give_zero_with_gradient_zero(text: str):
    none = Response((torch.zeros(0, 3, 1, 1),), (torch.zeros(0, 4, 1, 1),), (torch.zeros(0, 2, 1, 1),), (torch.zeros(0, 2, 1, 1),))
    for tensor in (*none.scores, *none.boxes):
        tensor.requires_grad_()
    result = loss(text, none, none)
    result.backward()
    assert float(result.detach()) == 0


def test_proposals_are_measured_in_their_own_size():
    # One proposal around (8, 4), 16 x 8 pixels: sides of SQUARE are (8 - 0) / 16, 4 / 8, 0, 4 / 8; of WIDE 1/2 each.
    def roi(box: tuple[float, float, float, float]) -> Response:
        centre, unit = torch.tensor([[8.0, 4.0]]).view(1, 2, 1, 1), torch.tensor([[16.0, 8.0]]).view(1, 2, 1, 1)
        return Response((torch.ones(1, 1, 1, 1),), (torch.tensor(box).view(1, 4, 1, 1),), (centre,), (unit,))

    # squares: (1/4, 1/4, 0, 1/4) in (1/4, 1/4, 1/4, 1/4): half of the width
    assert float(loss("localization: pow2 | iou", roi(SQUARE), roi(WIDE))) == pytest.approx(0.5, rel=1e-5)
