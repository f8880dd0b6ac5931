"""What a detector finds in the images of a COCO file, as COCO results."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from detkds.detectors.device import resolve
from detkds.detectors.training.batches import Samples
from detkds.detectors.training.loading import default_workers
from detkds.detectors.training.masks import Mask, encode

Detection = dict[str, Any]
"""A COCO result: image_id, category_id, bbox [x, y, width, height] in pixels of the original image, score in [0, 1]; from a detector of
masks also segmentation, see `masks.Mask`."""


@dataclass(frozen=True, slots=True)
class Found:
    """One batch: the images that were looked at and what was found in them."""

    image_ids: tuple[int, ...]
    detections: tuple[Detection, ...]


def predict(
    detector: nn.Module,
    samples: Samples,
    *,
    batch_size: int = 1,
    device: str = "auto",
    workers: int | None = None,
    category_ids: tuple[int, ...] | None = None,
) -> Iterator[Found]:
    """Run a detector over every image, batch by batch, so that the caller may stop early.

    Args:
        detector: put into evaluation mode while this runs, and back into its mode afterwards.
        samples: test samples (`training=False`); their file's category ids are those of the results.
        batch_size: images a forward pass. Larger batches may be padded differently, which moves scores a little.
        device: see `device.resolve`.
        workers: processes that load images; None is as `loading.default_workers` says.
        category_ids: the category id of each of the detector's labels; None where its classes stand in the file's order.

    Yields:
        Found, in the order of the file.
    """
    place = resolve(device)
    model: Any = detector.to(place)
    workers = default_workers(place) if workers is None else workers
    training, ids = model.training, category_ids or samples.category_ids
    model.eval()
    try:
        for batch in samples.test_batches(batch_size, workers=workers, pin=place.type == "cuda"):
            results = look(model, model.data_preprocessor(batch, False))
            image_ids = tuple(int(result.img_id) for result in results)
            yield Found(image_ids, tuple(detection for result in results for detection in _results(result, ids)))
    finally:
        model.train(training)


def look(detector: nn.Module, data: dict[str, Any]) -> Any:
    """mmdet's results of one preprocessed batch: forward pass and postprocessing, without gradients."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "To copy construct from a tensor")  # said by Cascade Mask R-CNN's heads, about themselves
        return detector(**data, mode="predict")


def detections(
    detector: nn.Module, samples: Samples, *, batch_size: int = 1, device: str = "auto", workers: int | None = None
) -> list[Detection]:
    """All detections of a data set; see `predict`."""
    found = predict(detector, samples, batch_size=batch_size, device=device, workers=workers)
    return [detection for batch in found for detection in batch.detections]


def _results(result: Any, category_ids: tuple[int, ...]) -> Iterator[Detection]:
    instances = result.pred_instances
    columns = (instances.bboxes.tolist(), instances.scores.tolist(), instances.labels.tolist(), _masks(instances))
    for (left, top, right, bottom), score, label, mask in zip(*columns, strict=True):
        box = [left, top, right - left, bottom - top]
        yield {"image_id": int(result.img_id), "category_id": category_ids[label], "bbox": box, "score": score} | mask


def _masks(instances: Any) -> list[dict[str, Mask]]:
    if "masks" not in instances:
        return [{}] * len(instances)
    return [{"segmentation": mask} for mask in encode(instances.masks)]
