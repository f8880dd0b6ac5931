"""A ground truth and detections of any size with COCO's habits: 7.3 objects per image, few frequent and many rare classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES, WIDTH, HEIGHT = 80, 640, 480


def world(images: int, detections: int, *, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A COCO object, and results of a detector with `detections` boxes per image: four tries at each object, some of a wrong class, and
    background."""
    draw = np.random.default_rng(seed)
    image = np.repeat(np.arange(images), draw.poisson(7.3, images))
    category, box = _classes(draw, len(image)), _boxes(draw, len(image))
    annotations = [
        {"id": number, "image_id": i, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": crowd}
        for number, (i, c, b, crowd) in enumerate(
            zip(image.tolist(), category.tolist(), box.tolist(), (draw.random(len(image)) < 0.01).astype(int).tolist(), strict=True),
            start=1,
        )
    ]
    truth = {
        "images": [{"id": number, "width": WIDTH, "height": HEIGHT, "file_name": f"{number}.jpg"} for number in range(images)],
        "categories": [{"id": number, "name": f"class {number}", "supercategory": f"group {number % 12}"} for number in range(CLASSES)],
        "annotations": annotations,
    }
    return truth, _detections(draw, image, category, box, images, detections)


def _detections(
    draw: np.random.Generator, image: NDArray[Any], category: NDArray[Any], box: NDArray[Any], images: int, per_image: int
) -> list[dict[str, Any]]:
    tries = np.repeat(np.arange(len(image)), 4)
    wrong = draw.random(len(tries)) < 0.3
    shaken = box[tries] + draw.normal(0, 0.15, (len(tries), 4)) * box[tries][:, [2, 3, 2, 3]]
    shaken[:, 2:] = np.maximum(shaken[:, 2:], 1)
    filler = images * per_image
    where = np.concatenate([image[tries], np.repeat(np.arange(images), per_image)])
    what = np.concatenate([np.where(wrong, _classes(draw, len(tries)), category[tries]), _classes(draw, filler)])
    shape = np.concatenate([shaken, _boxes(draw, filler)])
    score = np.concatenate([draw.beta(2, 2, len(tries)), draw.beta(1, 6, filler)])
    order = np.lexsort((-score, where))
    rank = np.arange(len(order)) - np.searchsorted(where[order], where[order])
    keep = order[rank < per_image]
    rows = zip(where[keep].tolist(), what[keep].tolist(), shape[keep].round(2).tolist(), score[keep].tolist(), strict=True)
    return [{"image_id": i, "category_id": c, "bbox": b, "score": s} for i, c, b, s in rows]


def _classes(draw: np.random.Generator, count: int) -> NDArray[np.int64]:
    share = 1 / np.arange(2, CLASSES + 2)
    return draw.choice(CLASSES, count, p=share / share.sum())


def _boxes(draw: np.random.Generator, count: int) -> NDArray[np.float64]:
    size = np.exp(draw.normal(4, 0.9, (count, 2))).clip(4, [WIDTH, HEIGHT])
    return np.concatenate([draw.random((count, 2)) * (np.array([WIDTH, HEIGHT]) - size), size], axis=1).round(2)
