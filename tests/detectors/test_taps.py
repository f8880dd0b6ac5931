"""Taps: what is read of the one forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from shrink import shrink
from torch import nn

from detkds.detectors import adapt, build_detector, load_config
from detkds.detectors.taps import NeckShape, neck_shape, tap
from detkds.errors import ConfigError


def test_a_dense_detector_leaves_its_levels_and_outputs(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    detector = tiny("retinanet")
    data = detector.data_preprocessor(batch, True)
    with tap(detector) as tapped:
        detector(**data, mode="loss")
    # 96 px at strides 8, 16, 32, 64, 128, each halved rounding up
    assert [tuple(level.shape) for level in tapped.levels] == [(2, 16, size, size) for size in (12, 6, 3, 2, 1)]
    scores, deltas = tapped.outputs
    assert [level.shape[1] for level in scores] == [9 * 3] * 5
    assert [level.shape[1] for level in deltas] == [9 * 4] * 5
    assert tapped.rois is None


def test_a_two_stage_detector_leaves_its_sampled_proposals(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    detector = tiny("faster_rcnn")
    data = detector.data_preprocessor(batch, True)
    with tap(detector) as tapped:
        detector(**data, mode="loss")
    scores, deltas = tapped.outputs
    assert scores.shape == (len(tapped.rois), 4)
    assert deltas.shape == (len(tapped.rois), 12)
    assert tapped.rois.shape[1] == 5
    assert set(tapped.rois[:, 0].tolist()) == {0.0, 1.0}


def test_a_detr_leaves_the_answers_of_its_decoder_layers(batch: dict[str, Any]) -> None:
    config = shrink(load_config("dino/dino-4scale_r50_8xb2-12e_coco", trust=False))
    detector = build_detector(adapt(config, ("ring", "bar", "dot")).config, seed=0)
    with tap(detector) as tapped:
        detector(**detector.data_preprocessor(batch, True), mode="loss")
    assert [level.shape[-1] for level in tapped.levels] == [12, 6, 3, 2]
    scores, boxes = tapped.outputs
    assert (scores.shape[:2], scores.shape[3]) == ((2, 2), 3)  # layers, images, classes
    assert scores.shape[2] > 12  # queries to be denoised come first
    assert boxes.shape == (*scores.shape[:3], 4)
    assert tapped.rois is None


def test_no_hook_stays_behind(tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    detector = tiny("faster_rcnn")
    with pytest.raises(ZeroDivisionError), tap(detector):
        raise ZeroDivisionError
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in detector.modules())


def test_neck_shape_is_measured_and_leaves_the_detector_alone(tiny: Callable[..., nn.Module]) -> None:
    detector = tiny("faster_rcnn", width=32)
    detector.neck.eval()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    assert neck_shape(detector) == NeckShape(strides=(4, 8, 16, 32, 64), channels=(32,) * 5)
    assert detector.backbone.training
    assert not detector.neck.training
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_a_detector_that_cannot_look_at_the_image_is_a_config_error(tiny: Callable[..., nn.Module]) -> None:
    detector = tiny("retinanet")
    detector.neck = nn.ModuleList()  # no forward
    detector.backbone = nn.Conv2d(3, 1, kernel_size=300)
    with pytest.raises(ConfigError, match="RetinaNet cannot look at an image of 256 x 256 px"):
        neck_shape(detector)
