"""Dense heads and proposals by hand: outputs that biases alone make, and the boxes they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from heads import read_level, small
from torch import Tensor, nn

from detkds.detectors.heads.dense import Grids, _same_grid
from detkds.detectors.heads.roi import Proposals
from detkds.detectors.taps import Tapped


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


def test_reppoints_by_hand() -> None:
    # nine points, of which the biases alone say where: y are 0, +-3 (three each), x likewise but for +-6, in units of the stride 8.
    # Their standard deviations with n - 1 are sqrt(54 / 8) = 2.5981 and 5.1962: the box is the mean 0 -+ that, moment_transfer being 0.
    head = small("reppoints").bbox_head
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        points = [(3.0 * y, 6.0 * x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        head.reppoints_pts_refine_out.bias.copy_(torch.tensor(points).flatten())
        head.reppoints_cls_out.bias.copy_(torch.tensor([1.0, -1.0, 0.0]))
        outputs = head([torch.zeros(1, 16, size, size) for size in (8, 4, 2, 1, 1)])
    assert len(outputs) == 3  # in training: classes, first points, refined points
    (scores, boxes, centres, _), _ = read_level(head, [kind[0] for kind in outputs], 0)
    torch.testing.assert_close(scores[0, :, 5, 7], torch.tensor([1.0, -1.0, 0.0]).sigmoid())
    corner = torch.tensor([8.0 * 7, 8 * 5] * 2)  # its points are the cells' corners
    torch.testing.assert_close(boxes[0, :, 5, 7], corner + 8 * 6.75**0.5 * torch.tensor([-2.0, -1, 2, 1]))
    assert centres[0, :, 5, 7].tolist() == [60.0, 44.0]


def test_yolox_by_hand() -> None:
    # offset 0.5 strides to the right, size exp(1) strides wide and exp(0) high; objectness sigmoid(1) times class sigmoid(2)
    head = small("yolox").bbox_head
    outputs = [torch.zeros(1, channels, 8, 8) for channels in (3, 4, 1)]
    outputs[0][:, 1], outputs[1][:, 0], outputs[1][:, 2], outputs[2][:] = 2.0, 0.5, 1.0, 1.0
    (scores, boxes, _, _), _ = read_level(head, outputs, 0)
    torch.testing.assert_close(scores[0, :, 5, 7], torch.tensor([0.5, 0.880797078, 0.5]) * 0.731058579)
    e = 2.718281828
    torch.testing.assert_close(boxes[0, :, 5, 7], torch.tensor([60 - 4 * e, 40 - 4, 60 + 4 * e, 40 + 4]))


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
    ours, theirs = Proposals(student, teacher)(Tapped(outputs=outputs, rois=rois), levels, None)
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
    ours, theirs = Grids(student, teacher)(Tapped(outputs=outputs), levels, None)
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
