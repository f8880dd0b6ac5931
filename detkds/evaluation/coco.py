"""Average precision as COCO defines it, for the search: one detector, quickly."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkds.errors import ArtifactError
from detkds.evaluation.engine import Engine, average_precision, count
from detkds.evaluation.found import Found, read_found
from detkds.evaluation.truth import Kind, Truth, read_truth


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one detector reaches on one set of images.

    Args:
        kind: "bbox" or "segm", what the IoU is taken of.
        figures: the 12 FIGURES in [0, 1]; nan where the ground truth has no object of that size (pycocotools prints -1).
        images: how many images were evaluated.
        detections: how many detections were given.
    """

    kind: Kind
    figures: dict[str, float]
    images: int
    detections: int


class Bounds(NamedTuple):
    """The range in which the AP of all images will lie, in [0, 1]; see `bounds` for how far each end can be trusted."""

    lower: float
    upper: float


def evaluate(
    ground_truth: Mapping[str, Any] | Path,
    detections: Sequence[Mapping[str, Any]],
    *,
    kind: Kind = "bbox",
    engine: Engine = "faster",
) -> Evaluation:
    """The COCO figures of detections. No detections give 0, not an error.

    Args:
        ground_truth: a COCO object or the path of its file.
        detections: COCO results: image_id, category_id, score and bbox [x, y, width, height] in pixels, or for segm a compressed RLE.
        kind: what the IoU is taken of.
        engine: which program counts.

    Raises:
        DatasetError: the ground truth cannot be used.
        ArtifactError: a detection is malformed or belongs to another ground truth.
    """
    truth = read_truth(ground_truth, kind)
    counts = count(truth, read_found(truth, detections, kind), kind, engine=engine)
    return Evaluation(kind, counts.named(), len(truth.image_ids), len(detections))


def bounds(
    ground_truth: Mapping[str, Any] | Path,
    detections_so_far: Sequence[Mapping[str, Any]],
    seen_image_ids: Collection[int],
    *,
    kind: Kind = "bbox",
) -> Bounds:
    """How low and how high the AP may end when only some images have been through the detector.

    `upper` is sound: it is the AP if every object of the unseen images were found exactly, with scores above all others. Each prefix of
    that ranking holds as many true positives and as few false ones as any continuation could give, so at no recall, threshold or
    class can the final precision be higher.

    `lower` is the AP if the unseen images gave no detection at all. It is an estimate and not a bound: false positives in unseen images
    that outrank true ones can push the final AP below it (the sound lower bound, nothing but such false positives, is near 0).

    Args:
        ground_truth: a COCO object or the path of its file, all images.
        detections_so_far: COCO results of the seen images.
        seen_image_ids: the images that have been through the detector, also those without a detection.
        kind: what the IoU is taken of.

    Raises:
        DatasetError: the ground truth cannot be used.
        ArtifactError: a detection is malformed or lies in an image that is not in `seen_image_ids`.
    """
    truth = read_truth(ground_truth, kind)
    found = read_found(truth, detections_so_far, kind)
    seen = np.isin(truth.image_ids, np.array(list(seen_image_ids), np.int64))
    strays = np.flatnonzero(~seen[found.image])
    if strays.size:
        number, image = found.given[strays[0]], truth.image_ids[found.image[strays[0]]]
        raise ArtifactError(f"detection {number} must lie in a seen image, but image {image} is not in seen_image_ids.")
    return Bounds(average_precision(truth, found, kind), average_precision(truth, _with_perfect(truth, found, ~seen), kind))


def _with_perfect(truth: Truth, found: Found, unseen: NDArray[np.bool_]) -> Found:
    """Add to each object of the unseen images a detection of its own shape, above all scores. Crowds are ignored by COCO, and an object
    without area overlaps nothing, not even itself, so neither gets one."""
    chosen = np.flatnonzero(unseen[truth.image] & ~truth.crowd & (truth.box[:, 2] * truth.box[:, 3] > 0))
    score = math.nextafter(found.score.max(initial=0.0), math.inf)
    return Found(
        np.concatenate([found.image, truth.image[chosen]]),
        np.concatenate([found.category, truth.category[chosen]]),
        np.concatenate([found.score, np.full(len(chosen), score)]),
        np.concatenate([found.box, truth.box[chosen]]),
        np.concatenate([found.area, truth.area[chosen]]),
        None if found.masks is None or truth.masks is None else [*found.masks, *(truth.masks[place] for place in chosen)],
        np.concatenate([found.given, len(found) + np.arange(len(chosen))]),
    )
