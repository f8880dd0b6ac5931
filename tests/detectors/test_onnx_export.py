"""ONNX files find what mmdet finds, and what was not tried is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from heads import DENSE, OTHERS, shaken, small
from mmengine.config import Config
from shrink import shrink

from detkds.detectors import adapt, build_detector, load_config
from detkds.detectors.export.letterbox import letterbox_of
from detkds.detectors.export.onnx import TRIED, Candidates, export, require_exportable, suppression_of
from detkds.detectors.export.onnx_detector import Detections, Letterbox, OnnxDetector, Placed, Suppression, suppress
from detkds.detectors.export.parity import Parity, compare, found
from detkds.errors import ConfigError

CLASSES = ("ring", "bar", "dot")
SHAPES = ((48, 64, 3), (64, 64, 3), (96, 40, 3))
EXPORTED = ("retinanet", "fcos", "gfl", "atss")


class InTorch:
    """Stands in for onnxruntime's session: the same graph before its export."""

    def __init__(self, detector: Any) -> None:
        self.graph = Candidates(detector)

    def run(self, names: None, inputs: dict[str, Any]) -> list[Any]:
        with torch.no_grad():
            return [part.numpy() for part in self.graph(torch.from_numpy(inputs["images"]))]


def tiny_config(name: str) -> Config:
    """One of mmdet's configs with two stages of a backbone, two levels and pictures of 64 x 64: exported in seconds."""
    config = shrink(load_config(DENSE[name], trust=False), width=8)
    model = config.model
    model.backbone.update(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), frozen_stages=-1)
    model.neck.update(in_channels=[8, 16], num_outs=2, start_level=0, add_extra_convs=False)
    generator = model.bbox_head.anchor_generator if "anchor_generator" in model.bbox_head else model.bbox_head
    generator.strides = [4, 8]
    model.test_cfg.nms_pre = 200
    for step in config.test_dataloader.dataset.pipeline:
        if "scale" in step:
            step.scale = (64, 64)
    return adapt(config, CLASSES).config


def pictures() -> list[Any]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, shape, dtype=np.uint8) for shape in SHAPES]


def agrees(parity: Parity) -> bool:
    return parity.detections >= 40 and not parity.alone and parity.box < 1e-2 and parity.score < 1e-4


@pytest.mark.parametrize("name", EXPORTED)
def test_onnxruntime_finds_what_mmdet_finds(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    config = tiny_config(name)
    detector = shaken(build_detector(config, seed=0))
    letterbox = letterbox_of(config, detector)
    export(detector, letterbox, tmp_path / "d.onnx", classes=CLASSES, config_sha256="abc")
    exported = OnnxDetector.load(tmp_path / "d.onnx")
    assert (exported.letterbox, exported.suppression, exported.classes) == (letterbox, suppression_of(detector.bbox_head), CLASSES)
    assert json.loads(exported.session.get_modelmeta().custom_metadata_map["config_sha256"]) == "abc"
    assert agrees(compare(detector, exported, pictures()))
    # Batches of any size: an image alone, and the same one twice.
    one = exported.letterbox.place(pictures()[0]).pixels[None]
    alone, both = (exported.session.run(None, {"images": pixels}) for pixels in (one, np.concatenate([one, one])))
    for single, double in zip(alone, both, strict=True):
        np.testing.assert_allclose(np.concatenate([single, single]), double, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["yolox", "rtmdet-tiny"])
def test_graphs_of_other_heads_find_what_mmdet_finds(name: str) -> None:
    config = shrink(load_config(DENSE[name], trust=False))
    detector = shaken(small(name))
    exported = OnnxDetector(InTorch(detector), letterbox_of(config, detector), suppression_of(detector.bbox_head), CLASSES)
    assert agrees(compare(detector, exported, pictures()))


def test_thresholds_are_those_of_the_config() -> None:
    config = tiny_config("retinanet")
    config.model.test_cfg.update(score_thr=0.0, max_per_img=20)
    detector = shaken(build_detector(config, seed=0))
    letterbox, head = letterbox_of(config, detector), detector.bbox_head
    for picture, most in zip(pictures(), (20, 3, 20), strict=True):
        # Between the 7th and the 8th score: so many there are, unless fewer are allowed.
        seventh, eighth = found(detector, letterbox, picture).scores[6:8]
        head.test_cfg.update(score_thr=float(seventh + eighth) / 2, max_per_img=most)
        exported = OnnxDetector(InTorch(detector), letterbox, suppression_of(head), CLASSES)
        ours, theirs = exported(picture), found(detector, letterbox, picture)
        head.test_cfg.update(score_thr=0.0, max_per_img=20)
        assert len(ours.scores) == len(theirs.scores) == min(7, most)
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-3)
        np.testing.assert_array_equal(ours.labels, theirs.labels)


def test_disagreement_is_counted() -> None:
    """Colours swapped, as one would by feeding BGR."""
    config = tiny_config("retinanet")
    detector = shaken(build_detector(config, seed=0))
    session = InTorch(detector)
    session.graph.rgb = not session.graph.rgb
    parity = compare(
        detector, OnnxDetector(session, letterbox_of(config, detector), suppression_of(detector.bbox_head), CLASSES), pictures()
    )
    assert parity.alone > parity.detections // 2


def test_suppression_by_hand() -> None:
    # On a letterbox where the image of 100 x 50 pixels lies at half its size. Boxes 0 and 1 overlap by 20 x 10 of 22 x 10: IoU .91.
    placed = Placed(np.zeros((3, 32, 64), np.float32), (25, 50), (0.5, 0.5))
    boxes = np.array([[0, 0, 20, 10], [0, 0, 22, 10], [40, 20, 60, 30], [52, 0, 60, 10]], np.float32)
    scores = np.array([[0.9, 0.1], [0.8, 0.7], [0.6, 0.0], [0.9, 0.0]], np.float32)
    result = suppress(boxes, scores, placed, Suppression(score_threshold=0.3, iou_threshold=0.5, most=-1, clip=True))
    # Box 1 loses to box 0 in class 0 and stays in class 1; box 2 is cut at (50, 25); box 3 lies outside of the image.
    assert result.boxes.tolist() == [[0, 0, 40, 20], [0, 0, 44, 20], [80, 40, 100, 50]]
    assert result.scores == pytest.approx([0.9, 0.7, 0.6])
    assert result.labels.tolist() == [0, 1, 0]
    whole: Detections = suppress(boxes, scores, placed, Suppression(score_threshold=0.3, iou_threshold=0.5, most=2, clip=False))
    assert whole.boxes.tolist() == [[0, 0, 40, 20], [104, 0, 120, 20]]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("faster-rcnn", "FasterRCNN has two stages"),
        ("deformable-detr", "DeformableDETR answers queries"),
        ("tood", "TOODHead of TOOD was not tried"),
        ("reppoints", "RepPointsHead of RepPointsDetector was not tried"),
    ],
)
def test_what_was_not_tried_is_refused(name: str, reason: str) -> None:
    assert name in {*DENSE, *OTHERS}
    with pytest.raises(ConfigError, match=rf"^ONNX is for dense heads \({', '.join(TRIED)}\), but {reason}; docs/deploy.md"):
        require_exportable(small(name))


def test_another_kind_of_nms_is_refused() -> None:
    head = small("retinanet").bbox_head
    head.test_cfg.nms = {"type": "soft_nms", "iou_threshold": 0.5}
    with pytest.raises(ConfigError, match=r"needs plain NMS, but test_cfg\.nms is .*soft_nms"):
        suppression_of(head)


def test_a_canvas_is_what_the_test_pipeline_makes() -> None:
    detector = small("retinanet")
    config = load_config(DENSE["retinanet"], trust=False)
    # 1333 x 800 rounded up to multiples of 32; padded with zeros after normalising, which is the mean colour.
    letterbox = letterbox_of(config, detector)
    assert (letterbox.height, letterbox.width, letterbox.keep_ratio) == (800, 1344, True)
    assert letterbox.padding == pytest.approx((123.675, 116.28, 103.53))
    assert letterbox_of(load_config("yolox/yolox_nano_8xb8-300e_coco", trust=False), detector) == Letterbox(416, 416, (114.0,) * 3, True)
    assert letterbox_of(config, detector, (320, 96)).height == 320
    with pytest.raises(ConfigError, match="multiples of 32, got 100x96"):
        letterbox_of(config, detector, (100, 96))
    config.test_dataloader.dataset.pipeline.insert(1, {"type": "Normalize"})
    with pytest.raises(ConfigError, match="this one has Normalize"):
        letterbox_of(config, detector)


def test_an_image_lies_in_the_upper_left_corner() -> None:
    image = np.full((30, 40, 3), (10, 20, 30), np.uint8)
    placed = Letterbox(64, 64, (1.0, 2.0, 3.5)).place(image)
    # 64 / 40 = 1.6 fits, 64 / 30 does not: 30 x 1.6 = 48 rows.
    assert (placed.size, placed.scale) == ((48, 64), (1.6, 1.6))
    assert placed.pixels[:, 47, 63].tolist() == [10, 20, 30]
    assert placed.pixels[:, 48, 0].tolist() == [1.0, 2.0, 3.5]
    stretched = Letterbox(64, 64, (0.0, 0.0, 0.0), keep_ratio=False).place(image)
    assert (stretched.size, stretched.scale) == ((64, 64), (1.6, pytest.approx(64 / 30)))
