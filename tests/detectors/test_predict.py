"""Detections as COCO results."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmdet.apis import inference_detector
from pictures import make_config, make_source

from detkds.detectors import build_detector
from detkds.detectors.predict import detections, predict
from detkds.detectors.training.batches import Samples, Source
from detkds.errors import ConfigError
from detkds.evaluation.coco import evaluate


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("data") / "test", 5)


def test_results_carry_the_ids_of_the_file(source: Source) -> None:
    config = make_config()
    found = detections(build_detector(config, seed=0), Samples(config, source, training=False), device="cpu")
    assert {detection["image_id"] for detection in found} == {10, 11, 12, 13, 14}  # images without boxes too
    assert {detection["category_id"] for detection in found} <= {7, 3}
    assert all(0 <= detection["score"] <= 1 and min(detection["bbox"][2:]) >= 0 for detection in found)
    assert evaluate(source.annotations, found).detections == len(found)


def test_labels_map_to_categories_in_the_order_of_the_file(source: Source) -> None:
    # The file lists category 7 before category 3, so label 0 is 7. The head is made to see label 0 everywhere.
    config = make_config()
    detector = build_detector(config, seed=0)
    with torch.no_grad():
        detector.bbox_head.retina_cls.weight.zero_()
        detector.bbox_head.retina_cls.bias.copy_(torch.tensor([3.0, -9.0]).repeat(2))  # two anchors per cell, two classes each
    best = {}
    for detection in detections(detector, Samples(config, source, training=False), device="cpu"):
        best.setdefault(detection["image_id"], detection)
    assert {detection["category_id"] for detection in best.values()} == {7}
    # sigmoid(3) = 1 / (1 + exp(-3)) = 0.9526
    assert [detection["score"] for detection in best.values()] == pytest.approx([0.9526] * 5, abs=1e-4)


def test_boxes_are_those_of_stock_mmdet(source: Source) -> None:
    config = make_config()
    detector = build_detector(config, seed=0)
    samples = Samples(config, source, training=False)
    found = [detection for detection in detections(detector, samples, device="cpu") if detection["image_id"] == 10]
    detector.cfg = config
    stock = inference_detector(detector.eval(), str(source.images / "0.png")).pred_instances
    assert [detection["score"] for detection in found] == pytest.approx(stock.scores.tolist(), abs=1e-6)
    for detection, (left, top, right, bottom) in zip(found, stock.bboxes.tolist(), strict=True):
        assert detection["bbox"] == pytest.approx([left, top, right - left, bottom - top], abs=1e-3)


def test_batches_come_one_by_one_and_the_mode_is_kept(source: Source) -> None:
    config = make_config()
    detector = build_detector(config, seed=0).train()
    found = predict(detector, Samples(config, source, training=False), batch_size=2, device="cpu")
    assert next(found).image_ids == (10, 11)
    assert next(found).image_ids == (12, 13)
    assert not detector.training
    found.close()
    assert detector.training


def test_a_config_without_a_test_pipeline_is_an_error(source: Source, tmp_path: Path) -> None:
    config = make_config()
    config.test_dataloader = None
    with pytest.raises(ConfigError, match="test_dataloader"):
        Samples(config, source, training=False)
