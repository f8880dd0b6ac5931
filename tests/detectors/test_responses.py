"""Responses: the common view says what mmdet's own prediction decodes, and does so differentiably."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from heads import DENSE, read_level, shaken, small
from torch import nn

from detkds.detectors import build_detector
from detkds.detectors.heads import family, mismatch, reader
from detkds.detectors.heads.dense import HEADS, Grids
from detkds.detectors.heads.predictions import Matched
from detkds.detectors.heads.roi import Proposals, run_stages
from detkds.detectors.taps import Tapped, tap
from detkds.losses.views import Response
from detkds.testing import HeadContract


@torch.no_grad()
@pytest.mark.parametrize("name", ["fcos", "rtmdet", "reppoints", "reppoints-bbox"])
def test_training_and_evaluation_say_the_same(name: str) -> None:
    detector = shaken(small(name))
    levels = [torch.rand(1, 16, size, size) for size in (8, 4, 2, 1, 1)[: len(detector.bbox_head.prior_generator.strides)]]
    views = []
    for training in (False, True):
        for module in detector.bbox_head.modules():
            module.training = training and not isinstance(module, nn.modules.batchnorm._BatchNorm)
        outputs = detector.bbox_head(levels)
        views.append(read_level(detector.bbox_head, [kind[1] for kind in outputs], 1)[0])
    for evaluated, trained in zip(*views, strict=True):
        torch.testing.assert_close(evaluated, trained)


def test_fcos_boxes_are_the_same_in_training_and_in_evaluation(tiny_config: Callable[..., Any]) -> None:

    config = tiny_config("fcos")
    config.model.bbox_head.norm_on_bbox = True  # then FCOS leaves the stride out in training
    detector = shaken(build_detector(config, seed=0))
    levels = [torch.rand(1, 16, size, size) for size in (12, 6, 3, 2, 1)]
    boxes = []
    for training in (False, True):
        detector.bbox_head.train(training)
        outputs = detector.bbox_head(levels)
        boxes.append(read_level(detector.bbox_head, [kind[1] for kind in outputs], 1)[0][1])
    torch.testing.assert_close(boxes[0], boxes[1])
    assert (boxes[0][0, 2] - boxes[0][0, 0]).max() > 1


def test_every_head_of_the_table_is_tried() -> None:
    tried = {type(small(name).bbox_head).__name__ for name in DENSE}
    # those left out differ from one that is tried in losses or in the layers before the outputs, not in what the outputs mean
    assert set(HEADS) - tried == {"RetinaSepBNHead", "FreeAnchorRetinaHead", "PISARetinaHead", "NASFCOSHead", "LDHead", "RTMDetHead"}


class TestDenseHeads(HeadContract):
    @pytest.fixture(params=list(DENSE))
    def detector(self, request: pytest.FixtureRequest) -> Any:
        return shaken(small(request.param))

    @pytest.fixture
    def data(self, detector: Any, make_batch: Callable[..., Any]) -> Any:
        return detector.data_preprocessor(make_batch(count=1), False)


@pytest.mark.parametrize("name", [*DENSE, "deformable-detr", "dino"])
@torch.no_grad()
def test_what_mmdet_predicts_is_among_the_answers(make_batch: Callable[..., Any], name: str) -> None:
    detector = shaken(small(name))
    detector.bbox_head.test_cfg.score_thr = 0.0
    data = detector.data_preprocessor(make_batch(), False)
    with tap(detector) as tapped:
        found = detector.predict(data["inputs"], data["data_samples"], rescale=False)
    kind = family(detector)
    assert kind is not None
    for sample, predictions in zip(found, kind(detector).predictions(tapped, data["data_samples"]), strict=True):
        height, width = sample.img_shape  # the second image is narrower than the batch
        edge = torch.tensor([width, height] * 2)
        first = sample.pred_instances[0]  # of a cell with several anchors only the most confident is an answer
        same_score = (predictions.scores[:, first.labels[0]] - first.scores[0]).abs() < 1e-6
        same_box = (predictions.boxes.clamp(min=0).minimum(edge) - first.bboxes.clamp(min=0).minimum(edge)).abs().amax(1) < 1e-3
        assert (same_score & same_box).any()


@torch.no_grad()
@pytest.mark.parametrize("name", ["faster_rcnn", "cascade_rcnn"])
def test_every_proposal_is_among_what_mmdet_decodes(tiny: Callable[..., nn.Module], make_batch: Callable[..., Any], name: str) -> None:
    detector = shaken(tiny(name))
    data = detector.data_preprocessor(make_batch(count=1), False)
    levels = detector.extract_feat(data["inputs"])
    corners = torch.tensor([[8.0, 8.0, 40.0, 44.0], [30.0, 20.0, 76.0, 90.0], [20.0, 40.0, 60.0, 60.0]])
    rois = torch.cat([torch.zeros(3, 1), corners], 1)
    scores, boxes, labels = run_stages(detector.roi_head, levels, rois)
    proposals = type(data["data_samples"][0].gt_instances)(bboxes=corners)
    # without a test config mmdet returns scores (R, K + 1) and the boxes of all classes, before NMS
    (decoded,) = detector.roi_head.predict_bbox(levels, [data["data_samples"][0].metainfo], [proposals], rcnn_test_cfg=None)
    torch.testing.assert_close(scores, decoded.scores[:, :-1])
    assert torch.equal(labels, decoded.scores[:, :-1].argmax(1))
    expected = decoded.bboxes.reshape(3, -1, 4)
    expected = expected[:, 0] if expected.shape[1] == 1 else expected[torch.arange(3), labels]
    torch.testing.assert_close(boxes.clamp(0, 96), expected)


@pytest.mark.parametrize(
    ("student", "teacher", "kind"),
    [
        ("retinanet", "gfl", Grids),
        ("rtmdet", "yolox", Grids),
        ("faster-rcnn", "cascade-mask-rcnn", Proposals),
        ("retinanet", "mask-rcnn-swin", Matched),
        ("faster-rcnn", "fcos", Matched),
        ("deformable-detr", "dino", Matched),
        ("dino", "cascade-mask-rcnn", Matched),
    ],
)
def test_how_two_heads_are_compared(student: str, teacher: str, kind: type) -> None:
    ours, theirs = small(student), small(teacher)
    assert mismatch(ours, theirs) is None
    assert isinstance(reader(ours, theirs), kind)


def test_heads_that_are_not_compared_say_why() -> None:
    student, teacher = small("retinanet"), small("cascade-mask-rcnn")
    assert mismatch(teacher, student) == "a cascade student trains each stage on other proposals"
    student.bbox_head.__class__ = type("OtherHead", (type(student.bbox_head),), {})
    assert family(student) is None
    assert str(mismatch(teacher, student)).startswith("scores and boxes of RetinaNet, the teacher, are not read")


@pytest.mark.parametrize(("student", "teacher"), [("retinanet", "retinanet"), ("fcos", "retinanet"), ("gfl", "fcos"), ("retinanet", "gfl")])
def test_gradients_reach_the_student_alone(tiny: Callable[..., nn.Module], student: str, teacher: str) -> None:
    ours, theirs = tiny(student), tiny(teacher, seed=1)
    levels = [torch.rand(2, 16, size, size) for size in (12, 6, 3, 2, 1)]
    view, reference = Grids(ours, theirs)(Tapped(outputs=ours.bbox_head(levels)), levels, None)
    assert isinstance(view, Response)
    assert [scores.shape for scores in view.scores] == [scores.shape for scores in reference.scores]
    assert all(0 <= scores.min() <= scores.max() <= 1 for scores in (*view.scores, *reference.scores))
    assert not any(value.requires_grad for value in (*reference.scores, *reference.boxes))
    sum((boxes.sum() for boxes in view.boxes), sum(scores.sum() for scores in view.scores)).backward()
    silent = [name for name, parameter in ours.bbox_head.named_parameters() if parameter.grad is None]
    assert silent == []
    assert all(parameter.grad is None for parameter in theirs.parameters())
