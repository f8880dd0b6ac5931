"""Detections as columns, checked, and results files."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from detkds.errors import ArtifactError
from detkds.evaluation.truth import Kind, Masks, Truth

MAX_DETECTIONS = 100
"""COCO looks at this many detections of one class in one image, those of the highest scores."""


@dataclass(frozen=True, slots=True)
class Found:
    """D detections, ordered by image, within one image by falling score, at equal scores as given.

    Args:
        image: (D,) int64, place in `Truth.image_ids`.
        category: (D,) int64, place in `Truth.class_ids`.
        score: (D,) float64, finite.
        box: (D, 4) float64, x, y, width and height in pixels; for kind segm that of the mask.
        area: (D,) float64, square pixels of the box or of the mask.
        masks: D masks for kind segm, else None.
        given: (D,) int64, place in the list that was given.
    """

    image: NDArray[np.int64]
    category: NDArray[np.int64]
    score: NDArray[np.float64]
    box: NDArray[np.float64]
    area: NDArray[np.float64]
    masks: Masks | None
    given: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.score)

    def rank(self) -> NDArray[np.int64]:
        """(D,) place of each detection among those of its class in its image, from 0, the highest score first."""
        order = np.lexsort((self.category, self.image))  # stable: scores keep falling
        image, category = self.image[order], self.category[order]
        first = np.ones(len(self), np.bool_)
        first[1:] = (image[1:] != image[:-1]) | (category[1:] != category[:-1])
        starts = np.flatnonzero(first)
        rank = np.empty(len(self), np.int64)
        rank[order] = np.arange(len(self)) - np.repeat(starts, np.diff(starts, append=len(self)))
        return rank

    def take(self, places: NDArray[Any]) -> Found:
        """The detections at these places, or where a boolean column is true."""
        index = np.flatnonzero(places) if places.dtype == np.bool_ else places
        return Found(
            self.image[index],
            self.category[index],
            self.score[index],
            self.box[index],
            self.area[index],
            None if self.masks is None else [self.masks[place] for place in index],
            self.given[index],
        )


def load_results(path: Path) -> list[dict[str, Any]]:
    """The detections of a COCO results file; `read_found` checks each of them. A million boxes take about 0.6 GB while they are held.

    Raises:
        ArtifactError: the file cannot be read, is not JSON, or holds something else than a list.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error.strerror}); give a COCO results file.") from None
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} must be a COCO results file, but cannot be read: {error!s:.120}; write the results again.") from None
    if not isinstance(data, list):
        raise ArtifactError(
            f"{path} must hold a list of detections, but holds {type(data).__name__}; give the results, not the ground truth."
        )
    return data


def read_found(truth: Truth, detections: Sequence[Mapping[str, Any]], kind: Kind) -> Found:
    """Checked detections in order; the area that sorts them by size is the box's for bbox and the mask's for segm.

    Raises:
        ArtifactError: a detection is malformed, not finite, or names an image or category that the ground truth does not have.
    """
    images = {name: place for place, name in enumerate(truth.image_ids)}
    classes = {name: place for place, name in enumerate(truth.class_ids)}
    count = len(detections)
    places, scores, box = np.empty((count, 2), np.int64), np.empty(count), np.empty((count, 4))
    masks: Masks | None = [] if kind == "segm" else None
    for number, detection in enumerate(detections):
        image, category, score = _checked(detection, number, images, classes)
        places[number], scores[number] = (images[image], classes[category]), score
        where = f"detection {number} (image {image})"
        if masks is None:
            box[number] = _box(detection, where)
        else:
            masks.append(_mask(detection, truth.sizes[images[image]].tolist(), where))
            box[number] = _extent(masks[-1], where)
    # mask.area of a list fails at more than 255 masks.
    area = box[:, 2] * box[:, 3] if masks is None else np.array([mask.area(one) for one in masks], np.float64)
    found = Found(places[:, 0], places[:, 1], scores, box, area, masks, np.arange(count))
    return found.take(np.lexsort((-scores, places[:, 0])))


def _checked(detection: Any, number: int, images: Mapping[int, int], classes: Mapping[int, int]) -> tuple[int, int, float]:
    """Image, category and score of a detection."""
    if not isinstance(detection, Mapping):
        raise ArtifactError(f"detection {number} must be an object of COCO's results format, but is {str(detection)[:60]!r}.")
    image, category, score = detection.get("image_id"), detection.get("category_id"), detection.get("score")
    if not _known(image, images) or not _known(category, classes):
        raise ArtifactError(
            f"detection {number} must name an image and a category of the ground truth, but names image {image!r:.60} and category "
            f"{category!r:.60}; evaluate it against the annotations it was made for."
        )
    if not _finite(score):
        raise ArtifactError(
            f"detection {number} (image {image}) must have a finite score, but has {score!r:.60}; look for nan in the detector."
        )
    return image, category, score  # type: ignore[return-value]  # checked above


def _box(detection: Mapping[str, Any], where: str) -> Sequence[float]:
    box = detection.get("bbox")
    if not (isinstance(box, Sequence) and len(box) == 4 and all(map(_finite, box)) and box[2] >= 0 and box[3] >= 0):
        raise ArtifactError(f"{where} must have bbox [x, y, width, height] of finite numbers, width and height >= 0, got {box!r:.90}.")
    return box


def _mask(detection: Mapping[str, Any], size: list[int], where: str) -> dict[str, Any]:
    rle = detection.get("segmentation")
    if not (isinstance(rle, Mapping) and isinstance(rle.get("counts"), str | bytes) and list(rle.get("size", ())) == size):
        raise ArtifactError(f"{where} must have a compressed RLE segmentation of the image's size {size}, got {rle!r:.90}.")
    return {"size": list(rle["size"]), "counts": rle["counts"]}


def _extent(rle: dict[str, Any], where: str) -> NDArray[np.float64]:
    """The box around a mask; broken run lengths decode to anything, most often to far outside the image."""
    box: NDArray[np.float64] = mask.toBbox(rle)
    height, width = rle["size"]
    if box[0] + box[2] > width or box[1] + box[3] > height:
        raise ArtifactError(f"{where} must have a mask inside its image of {[height, width]}, but its run lengths reach {box.tolist()}.")
    return box


def _known(key: Any, table: Mapping[Any, Any]) -> bool:
    return isinstance(key, Hashable) and key in table


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):
        return False
