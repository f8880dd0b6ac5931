"""What a detector finds in the images of a COCO file, as COCO results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from detkds.detectors.batches import Samples
from detkds.detectors.device import resolve

Detection = dict[str, Any]
"""A COCO result: image_id, category_id, bbox [x, y, width, height] in pixels of the original image, score in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Found:
    """One batch: the images that were looked at and what was found in them."""

    image_ids: tuple[int, ...]
    detections: tuple[Detection, ...]


def predict(detector: nn.Module, samples: Samples, *, batch_size: int = 1, device: str = "auto", workers: int = 0) -> Iterator[Found]:
    """Run a detector over every image, batch by batch, so that the caller may stop early.

    Args:
        detector: put into evaluation mode while this runs, and back into its mode afterwards.
        samples: test samples (`training=False`); their file's category ids are those of the results.
        batch_size: images a forward pass. Larger batches may be padded differently, which moves scores a little.
        device: see `device.resolve`.
        workers: processes that load images.

    Yields:
        Found, in the order of the file.
    """
    model: Any = detector.to(resolve(device))
    training = model.training
    model.eval()
    try:
        for batch in samples.test_batches(batch_size, workers=workers):
            with torch.no_grad():
                results = model(**model.data_preprocessor(batch, False), mode="predict")
            image_ids = tuple(int(result.img_id) for result in results)
            yield Found(image_ids, tuple(detection for result in results for detection in _results(result, samples.category_ids)))
    finally:
        model.train(training)


def detections(detector: nn.Module, samples: Samples, *, batch_size: int = 1, device: str = "auto", workers: int = 0) -> list[Detection]:
    """All detections of a data set; see `predict`."""
    found = predict(detector, samples, batch_size=batch_size, device=device, workers=workers)
    return [detection for batch in found for detection in batch.detections]


def _results(result: Any, category_ids: tuple[int, ...]) -> Iterator[Detection]:
    instances = result.pred_instances
    columns = (instances.bboxes.tolist(), instances.scores.tolist(), instances.labels.tolist())
    for (left, top, right, bottom), score, label in zip(*columns, strict=True):
        box = [left, top, right - left, bottom - top]
        yield {"image_id": int(result.img_id), "category_id": category_ids[label], "bbox": box, "score": score}
