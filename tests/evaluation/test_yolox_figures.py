"""A real detector on real images: YOLOX-Nano on 66 images of val2017, whose figures by mmdet's own metric are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detkds.evaluation import evaluate
from detkds.evaluation.analysis import analyse

KNOWN = {"AP": 0.306, "AP50": 0.482, "AP75": 0.294, "APs": 0.085, "APm": 0.301, "APl": 0.562}


@pytest.fixture(scope="module")
def predictions(shared_data: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ground truth and detections; torch is loaded here only."""
    from detkds.detectors.configs.config import adapt, load_config
    from detkds.detectors.predict import predict
    from detkds.detectors.training.batches import Samples, Source
    from detkds.detectors.training.train import load_detector

    file = shared_data / "coco_ccby" / "annotations" / "instances_val2017.json"
    truth = json.loads(file.read_text())
    config = adapt(load_config("yolox_nano_8xb8-300e_coco", trust=False), tuple(one["name"] for one in truth["categories"])).config
    detector = load_detector(config, shared_data / "yolox_nano" / "yolox_nano_mmdet3.pth")
    samples = Samples(config, Source(file, shared_data / "coco_ccby" / "val2017"), training=False)
    return truth, [one for batch in predict(detector, samples, device="cpu") for one in batch.detections]


def test_known_figures_by_both_programs(predictions: Any) -> None:
    faster, reference = (evaluate(*predictions, engine=engine).figures for engine in ("faster", "pycocotools"))
    assert {name: round(faster[name], 3) for name in KNOWN} == pytest.approx(KNOWN, abs=0.0011)  # the last digit may turn with the CPU
    np.testing.assert_allclose(list(faster.values()), list(reference.values()), rtol=0, atol=1e-12)


def test_the_analysis_is_in_order(predictions: Any) -> None:
    truth, detections = predictions
    weak = [one for one in detections if one["score"] > 0.3]
    analysis = analyse(truth, {"teacher": detections, "student": weak}, compare=(("teacher", "student"),), samples=200, examples=5)
    result = analysis.detectors["teacher"].kinds["bbox"]
    low, high = result.interval.bounds["AP"]
    assert 0.2 < low < result.figures["AP"] < high < 0.4
    areas = [float(np.mean(curve)) for curve in result.error_curves.values()]
    assert areas == sorted(areas)
    assert all(0 <= value < 0.5 for value in result.tide.values())
    assert analysis.comparisons[0].low > 0  # cutting off low scores costs recall
    # Cutting at the score that pictures show changes no picture.
    assert analysis.examples == ()
