"""Predictions of heads of different kinds: matched, or asked about the student's boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from heads import shaken, small
from mmdet.structures import DetDataSample
from torch import nn

from detkds.detectors.heads import reader
from detkds.detectors.heads.dense import Dense
from detkds.detectors.heads.predictions import Matched, Predictions, best, match
from detkds.detectors.heads.query import Query
from detkds.detectors.heads.roi import RoI, run_stages
from detkds.detectors.taps import Tapped, tap


@pytest.mark.parametrize("name", ["deformable-detr", "dino"])
def test_queries_in_training_are_those_that_detect(make_batch: Callable[..., Any], name: str) -> None:
    detector = small(name).eval()
    data = detector.data_preprocessor(make_batch(), True)
    with torch.no_grad(), tap(detector) as quiet:
        detector(**data, mode="predict")
    for module in detector.modules():  # dropout stays off, so that only the queries to be denoised differ
        module.training = not isinstance(module, nn.Dropout | nn.MultiheadAttention | nn.modules.batchnorm._BatchNorm)
    with tap(detector) as trained:
        detector(**data, mode="loss")
    first, second = (Query(detector).predictions(tapped, data["data_samples"]) for tapped in (quiet, trained))
    for evaluated, predictions in zip(first, second, strict=True):
        assert predictions.scores.shape == (12, 3)
        torch.testing.assert_close(predictions.scores, evaluated.scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(predictions.boxes, evaluated.boxes, rtol=1e-4, atol=1e-3)
    assert second[0].boxes.requires_grad
    assert (trained.outputs[0].shape[2] > 12) == (name == "dino")


def test_matching_by_hand() -> None:
    # One image of 100 x 100. The teacher says the same as the student, in another order and with one answer more: it is left over.
    scores = torch.tensor([[0.9, 0.0], [0.0, 0.8]])
    boxes = torch.tensor([[0.0, 0, 20, 20], [50, 50, 90, 90]])
    student = Predictions(scores, boxes)
    teacher = Predictions(torch.cat([scores.flip(0), torch.zeros(1, 2)]), torch.cat([boxes.flip(0), torch.tensor([[0.0, 0, 21, 21]])]))
    index, theirs = match(teacher, student, (100, 100))
    assert index.tolist() == [0, 1]
    assert torch.equal(theirs.scores, scores)
    assert torch.equal(theirs.boxes, boxes)
    # A student of one answer: box (0, 0, 20, 20). Candidate a: same box, score 0.6 for 0.9, cost 2 x 0.3 = 0.6. Candidate b: score 0.9 and
    # box (0, 0, 20, 16): 5 x (0.02 + 0.04) for centre and height, 2 x (1 - 0.8) for GIoU = IoU, cost 0.7. So a.
    alone = Predictions(scores[:1], boxes[:1])
    pair = Predictions(torch.tensor([[0.6, 0.0], [0.9, 0.0]]), torch.tensor([[0.0, 0, 20, 20], [0, 0, 20, 16]]))
    assert match(pair, alone, (100, 100))[1].boxes.tolist() == [[0.0, 0, 20, 20]]
    # With 0.5 instead of 0.6 the first costs 0.8, so b.
    dearer = pair._replace(scores=torch.tensor([[0.5, 0.0], [0.9, 0.0]]))
    assert match(dearer, alone, (100, 100))[1].boxes.tolist() == [[0.0, 0, 20, 16]]
    wild = Predictions(torch.full((1, 2), float("nan")), boxes[:1])
    assert match(pair, wild, (100, 100))[0].tolist() == [0]


def test_the_surest_come_first() -> None:
    predictions = Predictions(torch.tensor([[0.1, 0.2], [0.3, 0.0], [0.1, 0.9]]), torch.arange(12.0).reshape(3, 4))
    assert best(predictions, 2).boxes[:, 0].tolist() == [8.0, 4.0]


def test_a_two_stage_teacher_looks_at_the_students_boxes() -> None:
    student, teacher = shaken(small("retinanet")), shaken(small("faster-rcnn"), seed=1)
    levels = [torch.rand(2, 16, size, size) for size in (16, 8, 4, 2, 1)]  # of a batch of 64 x 64 px at stride 4
    outputs = student.bbox_head([torch.rand(2, 16, size, size) for size in (8, 4, 2, 1, 1)])
    samples = [None, None]
    view, reference = Matched(Dense(student), RoI(teacher))(Tapped(outputs=outputs), levels, samples)
    (own, other) = Dense(student).predictions(Tapped(outputs=outputs), samples)
    count = 64 + 16 + 4 + 1 + 1
    assert view.scores[0].shape == (2 * count, 3, 1, 1)
    assert torch.equal(view.boxes[0].flatten(1), torch.cat([own.boxes, other.boxes]))
    corners = torch.cat([own.boxes, other.boxes]).detach().clamp(0, 64)
    rois = torch.cat([torch.arange(2.0).repeat_interleave(count)[:, None], corners], 1)
    scores, boxes, _ = run_stages(teacher.roi_head, levels, rois)
    torch.testing.assert_close(reference.scores[0].flatten(1), scores)
    torch.testing.assert_close(reference.boxes[0].flatten(1), boxes)
    assert not reference.scores[0].requires_grad
    widths = (own.boxes[:, 2] - own.boxes[:, 0]).detach().clamp(min=1)
    torch.testing.assert_close(view.units[0][:count, 0, 0, 0], widths)


def test_boxes_that_point_backwards_do_not_reach_the_pooling() -> None:
    teacher = shaken(small("faster-rcnn"))
    about = [Predictions(torch.ones(2, 2), torch.tensor([[50.0, 40, 10, 20], [-1e9, -5, float("inf"), 1e9]]))]
    levels = [torch.rand(1, 16, size, size) for size in (16, 8, 4, 2, 1)]
    ((index, predictions),) = RoI(teacher).asked(levels, [None], about)
    assert index.tolist() == [0, 1]
    assert predictions.scores.isfinite().all()


MATCHED = [
    ("retinanet", "faster-rcnn"),
    ("retinanet", "deformable-detr"),
    ("faster-rcnn", "rtmdet"),
    ("deformable-detr", "deformable-detr"),
    ("dino", "yolox"),
]


@pytest.mark.parametrize(("student", "teacher"), MATCHED)
def test_gradients_of_matched_answers_reach_the_student_alone(make_batch: Callable[..., Any], student: str, teacher: str) -> None:
    ours, theirs = small(student), small(teacher, seed=1).eval()
    data = ours.data_preprocessor(make_batch(), True)
    with tap(ours) as tapped:
        ours(**data, mode="loss")
    levels = theirs.extract_feat(data["inputs"])
    view, reference = reader(ours, theirs)(tapped, levels, data["data_samples"])
    assert [part[0].shape[0] for part in (view.scores, view.boxes)] == [part[0].shape[0] for part in (reference.scores, reference.boxes)]
    assert not any(value[0].requires_grad for value in (reference.scores, reference.boxes, view.centres, view.units))
    (view.scores[0].sum() + view.boxes[0].sum()).backward()
    assert ours.backbone.conv1.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in theirs.parameters())


def test_an_image_without_proposals_has_no_answers() -> None:
    student, teacher = small("faster-rcnn"), small("retinanet").eval()
    rois = torch.tensor([[1.0, 8, 8, 40, 40], [1.0, 20, 20, 60, 60]])  # both in the second image
    tapped = Tapped(outputs=(torch.zeros(2, 4), torch.zeros(2, 12)), rois=rois)
    levels = [torch.rand(2, 16, size, size) for size in (12, 6, 3, 2, 1)]
    samples = [DetDataSample(metainfo={"img_shape": (96, 96)})] * 2
    view, reference = reader(student, teacher)(tapped, levels, samples)
    assert view.scores[0].shape == reference.scores[0].shape == (2, 3, 1, 1)
    assert view.boxes[0].flatten(1).tolist() == rois[:, 1:].tolist()
