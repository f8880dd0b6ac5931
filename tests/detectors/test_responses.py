"""Responses: the common view says what mmdet's own prediction decodes, and does so differentiably."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detkds.detectors.responses import family
from detkds.detectors.responses.dense import Dense, _same_grid, read_level
from detkds.detectors.responses.roi import RoI, run_stages
from detkds.losses.views import Response

DENSE = ("retinanet", "fcos", "gfl")


def shaken(detector: nn.Module, seed: int = 0) -> nn.Module:
    """In evaluation mode, with heads that say something different in every cell."""
    generator = torch.Generator().manual_seed(seed)
    head = detector.roi_head if hasattr(detector, "roi_head") else detector.bbox_head
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return detector.eval()


def level_zero(detector: nn.Module, **overrides: float) -> tuple[Any, list[Tensor]]:
    """The head, and its outputs at stride 8 with all weights 0, so that biases alone speak: named biases as given, others 0."""
    head = detector.bbox_head
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            parameter.fill_(1.0 if name.startswith("scales") else 0.0)
        for name, value in overrides.items():
            layer, index = name.rsplit("_", 1)
            head.get_submodule(layer).bias[int(index)] = value
        outputs = head([torch.zeros(1, 16, size, size) for size in (12, 6, 3, 2, 1)])
    return head, [kind[0] for kind in outputs]


def test_retinanet_by_hand(tiny: Callable[..., nn.Module]) -> None:
    # anchor 3 is ratio 1 at scale 4: 32 x 32 px around (8 j, 8 i). Its class 1 has logit 2, channel 3 x 3 + 1; anchor 0's class 0 has 1.
    # Its delta dx = 0.25 (channel 4 x 3) shifts by a quarter of the width: 8 px.
    head, outputs = level_zero(tiny("retinanet"), retina_cls_10=2.0, retina_cls_0=1.0, retina_reg_12=0.25)
    (scores, boxes, centres, units), choice = read_level(head, outputs, 0)
    assert choice.unique().tolist() == [3]
    expected = torch.tensor([1.0, 2.0, 0.0]).sigmoid()
    torch.testing.assert_close(scores[0, :, 5, 7], expected)
    assert boxes[0, :, 5, 7].tolist() == [8 * 7 - 16 + 8, 8 * 5 - 16, 8 * 7 + 16 + 8, 8 * 5 + 16]
    assert centres[0, :, 5, 7].tolist() == [60.0, 44.0]  # (7.5, 5.5) x 8
    assert units.flatten().tolist() == [8.0, 8.0]


def test_another_anchor_may_be_asked_for(tiny: Callable[..., nn.Module]) -> None:
    head, outputs = level_zero(tiny("retinanet"), retina_cls_10=2.0)
    (_, boxes, _, _), _ = read_level(head, outputs, 0, torch.full((1, 12, 12), 4))
    # ratio 1, the second scale: 32 x 2^(1/3) = 40.3175 px
    torch.testing.assert_close(boxes[0, :, 0, 0], torch.tensor([-1.0, -1.0, 1.0, 1.0]) * 40.3174735966 / 2)


def test_fcos_by_hand(tiny: Callable[..., nn.Module]) -> None:
    # distances are exp(bias): 1 px each, exp(1) to the right; the score is sigmoid(2) x sigmoid(-1)
    head, outputs = level_zero(tiny("fcos"), conv_cls_1=2.0, conv_reg_2=1.0, conv_centerness_0=-1.0)
    (scores, boxes, centres, _), _ = read_level(head, outputs, 0)
    torch.testing.assert_close(scores[0, 1, 5, 7], torch.tensor(0.880797078 * 0.268941421))
    torch.testing.assert_close(boxes[0, :, 5, 7], torch.tensor([60 - 1, 44 - 1, 60 + 2.718281828, 44 + 1]))
    assert centres[0, :, 5, 7].tolist() == [60.0, 44.0]


def test_gfl_by_hand(tiny: Callable[..., nn.Module]) -> None:
    # left: all mass on bin 2 of 17, so 2 strides = 16 px; the other sides uniform over bins 0..16, mean 8 strides = 64 px
    head, outputs = level_zero(tiny("gfl"), gfl_cls_0=-2.0, gfl_reg_2=100.0)
    (scores, boxes, _, _), _ = read_level(head, outputs, 0)
    torch.testing.assert_close(scores[0, :, 5, 7], torch.tensor([-2.0, 0.0, 0.0]).sigmoid())
    torch.testing.assert_close(boxes[0, :, 5, 7], torch.tensor([56.0 - 16, 40 - 64, 56 + 64, 40 + 64]))


def test_fcos_boxes_are_the_same_in_training_and_in_evaluation(tiny_config: Callable[..., Any]) -> None:
    from detkds.detectors import build_detector

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


@pytest.mark.parametrize("name", DENSE)
@torch.no_grad()
def test_every_cell_is_among_what_mmdet_decodes(tiny: Callable[..., nn.Module], make_batch: Callable[..., Any], name: str) -> None:
    detector = shaken(tiny(name))
    data = detector.data_preprocessor(make_batch(count=1), False)
    outputs = detector.bbox_head(detector.extract_feat(data["inputs"]))
    everything = {"nms_pre": 100_000, "score_thr": -1.0, "min_bbox_size": -1}
    metas = [sample.metainfo for sample in data["data_samples"]]
    cfg = detector.test_cfg.copy()
    cfg.update(everything)
    (decoded,) = detector.bbox_head.predict_by_feat(*outputs, batch_img_metas=metas, cfg=cfg, with_nms=False)
    rows = torch.cat([decoded.bboxes, 100 * decoded.scores[:, None], 100 * decoded.labels[:, None]], 1)
    seen = 0
    for index in range(5):
        (scores, boxes, _, _), _ = read_level(detector.bbox_head, [kind[index] for kind in outputs], index)
        best, label = scores.flatten(2)[0].max(0)
        cells = torch.cat([boxes.flatten(2)[0].T.clamp(0, 96), 100 * best[:, None], 100 * label[:, None]], 1)
        assert torch.cdist(cells.double(), rows.double()).amin(1).max() < 1e-2
        seen += len(cells)
    assert seen == 144 + 36 + 9 + 4 + 1


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


def test_proposals_by_hand(tiny: Callable[..., nn.Module]) -> None:
    student, teacher = tiny("faster_rcnn"), tiny("faster_rcnn")
    with torch.no_grad():
        for head in (student.roi_head.bbox_head, teacher.roi_head.bbox_head):
            head.fc_cls.weight.zero_()
            head.fc_cls.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 2.0]))  # three classes and background
            head.fc_reg.weight.zero_()
            head.fc_reg.bias.zero_()
        teacher.roi_head.bbox_head.fc_reg.bias[4] = 1.0  # dx of class 1, in units of 0.1 widths
    rois = torch.tensor([[0.0, 10.0, 20.0, 50.0, 40.0]])
    # class 1 by 0.3 widths, class 2, which the student believes, by 0.5: the teacher's best class is 1
    outputs = (torch.tensor([[0.0, 0.0, 9.0, 0.0]]), torch.tensor([[0.0] * 4 + [3.0, 0, 0, 0] + [5.0, 0, 0, 0]]))
    levels = [torch.zeros(1, 16, size, size) for size in (24, 12, 6, 3)]
    ours, theirs = RoI(student, teacher)(outputs, rois, levels)
    e = torch.e
    total = 2 + e + e**2
    torch.testing.assert_close(theirs.scores[0].flatten(), torch.tensor([1 / total, e / total, 1 / total]))
    assert theirs.boxes[0].flatten().tolist() == pytest.approx([10 + 4, 20, 50 + 4, 40])
    assert ours.boxes[0].flatten().tolist() == pytest.approx([10 + 12, 20, 50 + 12, 40])
    assert theirs.centres[0].shape == (1, 2, 1, 1)
    assert theirs.centres[0].flatten().tolist() == [30.0, 30.0]
    assert theirs.units[0].flatten().tolist() == [40.0, 20.0]


def test_like_anchors_follow_the_teachers_choice(tiny: Callable[..., nn.Module]) -> None:
    student, teacher = tiny("retinanet"), tiny("retinanet")
    _, outputs = level_zero(student, retina_cls_0=3.0)  # the student likes anchor 0
    level_zero(teacher, retina_cls_10=3.0)  # the teacher anchor 3, of 32 x 32 px
    levels = [torch.zeros(1, 16, size, size) for size in (12, 6, 3, 2, 1)]
    outputs = student.bbox_head(levels)
    ours, theirs = Dense(student, teacher)(outputs, None, levels)
    assert ours.boxes[0][0, :, 4, 4].tolist() == theirs.boxes[0][0, :, 4, 4].tolist() == [16.0, 16.0, 48.0, 48.0]
    alone, _ = read_level(student.bbox_head, [kind[0] for kind in outputs], 0)
    assert alone[1][0, :, 4, 4].tolist() != [16.0, 16.0, 48.0, 48.0]


def test_grids_of_other_strides_repeat_the_coarser_cells() -> None:
    def level(size: int, stride: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        values = torch.arange(float(size))[None, None, None].expand(1, 1, 1, size).clone().requires_grad_()
        return values, values.expand(1, 4, 1, size), torch.full((1, 2, 1, size), stride), torch.full((1, 2, 1, 1), stride)

    coarse, fine = level(2, 16.0), level(4, 8.0)
    for first, second in ((coarse, fine), (fine, coarse)):
        ours, theirs = _same_grid(first, second)
        repeated = ours if first is coarse else theirs
        assert repeated[0].flatten().tolist() == [0.0, 0.0, 1.0, 1.0]
        assert repeated[2:] == fine[2:]
    repeated[1].sum().backward()
    assert coarse[0].grad.flatten().tolist() == [8.0, 8.0]  # two copies of four coordinates


@pytest.mark.parametrize(
    ("student", "teacher", "kind"),
    [
        ("retinanet", "gfl", Dense),
        ("faster_rcnn", "cascade_rcnn", RoI),
        ("retinanet", "faster_rcnn", None),
        ("faster_rcnn", "fcos", None),
    ],
)
def test_families(tiny: Callable[..., nn.Module], student: str, teacher: str, kind: type | None) -> None:
    assert family(tiny(student), tiny(teacher)) is kind


@pytest.mark.parametrize(("student", "teacher"), [("retinanet", "retinanet"), ("fcos", "retinanet"), ("gfl", "fcos"), ("retinanet", "gfl")])
def test_gradients_reach_the_student_alone(tiny: Callable[..., nn.Module], student: str, teacher: str) -> None:
    ours, theirs = tiny(student), tiny(teacher, seed=1)
    levels = [torch.rand(2, 16, size, size) for size in (12, 6, 3, 2, 1)]
    view, reference = Dense(ours, theirs)(ours.bbox_head(levels), None, levels)
    assert isinstance(view, Response)
    assert [scores.shape for scores in view.scores] == [scores.shape for scores in reference.scores]
    assert all(0 <= scores.min() <= scores.max() <= 1 for scores in (*view.scores, *reference.scores))
    assert not any(value.requires_grad for value in (*reference.scores, *reference.boxes))
    sum((boxes.sum() for boxes in view.boxes), sum(scores.sum() for scores in view.scores)).backward()
    silent = [name for name, parameter in ours.bbox_head.named_parameters() if parameter.grad is None]
    assert silent == []
    assert all(parameter.grad is None for parameter in theirs.parameters())
