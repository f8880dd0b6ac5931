# ruff: noqa: E402  # the tests' folder before what is imported from it
"""A whole training by ours and by mmdet's `tools/train.py` at the same draws, on the CPU: losses, weights and AP, to the last bit.

`python benchmarks/gpu/same_draws.py FOLDER --family FCOS --seed 0` for the blood cells in FOLDER. What `against_mmengine.py` finds beyond
this is the noise of draws.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "detectors"))

import torch
from against_mmengine import CLASSES
from families import FAMILIES
from stock import Steps, as_mmdet_users_write_it, train_stock

from detkds.detectors.configs.config import adapt, build_detector
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.predict import detections
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.evaluation.coco import evaluate
from detkds.genome import Recipe

VALIDATION_BATCH = 8
FOLLOWED = [name for name in FAMILIES if name != "RTMDet"]
"""RTMDet's caches of mosaic and mix-up have no draws by place."""


def ours(config: Any, epochs: int, train: Source, val: Source, seed: int) -> tuple[Any, list[dict[str, Any]], float]:
    """The student, its steps and its AP."""
    config.custom_hooks = [*(config.get("custom_hooks") or []), {"type": Steps}]
    distiller = DistilledDetector(build_detector(config, seed=seed), None, Recipe())
    settings = TrainSettings(epochs=epochs, batch_size=config.train_dataloader.batch_size, device="cpu", seed=seed)
    Training(distiller, config, Samples(config, train, training=True, seed=seed), settings).run()
    found = detections(distiller.student, Samples(config, val, training=False), batch_size=VALIDATION_BATCH, device="cpu")
    return distiller.student, Steps.taken(), evaluate(val.annotations, found).figures["AP"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--family", required=True, choices=FOLLOWED)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train, val = (Source(options.data / "annotations" / f"{part}.json", options.data / part) for part in ("train", "val"))
    given, epochs = FAMILIES[options.family]()

    began = time.perf_counter()
    student, steps, ap = ours(adapt(given, CLASSES).config, epochs, train, val, options.seed)
    row = {"family": options.family, "seed": options.seed, "steps": len(steps)}
    print(json.dumps({**row, "AP of ours": round(100 * ap, 2), "seconds": round(time.perf_counter() - began)}), flush=True)

    began = time.perf_counter()
    validation = {"val_cfg": {"type": "ValLoop"}, "val_evaluator": {"type": "CocoMetric", "metric": "bbox"}}
    given.update(val_dataloader=copy.deepcopy(given.test_dataloader), **validation)
    config = as_mmdet_users_write_it(given, CLASSES, train, val)
    config.val_dataloader.batch_size = VALIDATION_BATCH
    with tempfile.TemporaryDirectory() as work:
        stock = train_stock(config, Path(work), seed=options.seed, validate=True)
    pairs = list(zip(steps, stock.steps, strict=True))
    weights = student.state_dict()
    differences = {
        "losses": max(abs(a["losses"]["loss"] - b["losses"]["loss"]) for a, b in pairs),
        "rates": max(abs(x - y) for a, b in pairs for x, y in zip(a["rates"], b["rates"], strict=True)),
        "weights": max(float((stock.saved[name] - weights[name]).abs().max()) for name in weights),
    }
    reached = float(stock.metrics.get("val/coco/bbox_mAP", 0.0))  # mmdet gives no figures where nothing was found
    found = {"AP of mmengine": round(100 * reached, 1), "largest differences": differences}
    print(json.dumps({**row, **found, "seconds": round(time.perf_counter() - began)}), flush=True)


if __name__ == "__main__":
    main()
