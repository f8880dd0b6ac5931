"""Average precision as COCO defines it, counted by pycocotools."""

from __future__ import annotations

import contextlib
import io
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detkds.errors import ArtifactError
from detkds.evaluation.index import Kind, index_detections, index_truth, read

SCHEMA = "detkds.evaluation/1"
FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""The 12 figures in the order of pycocotools' stats."""
CURVES = {"0.50": 0, "0.75": 5}
"""IoU thresholds whose precision-recall curve is kept, with their place among .50, .55 … .95."""
_ALL_SIZES = [0, 1e10]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one detector reaches on one set of images.

    Args:
        kind: "bbox" or "segm", what the IoU is taken of.
        figures: the 12 FIGURES in [0, 1]; nan where the ground truth has no object of that size (pycocotools prints -1).
        per_class: class name to AP in [0, 1], in the order of the categories; nan for a class without ground truth. Categories that
            share a name are told apart by their id.
        curves: IoU threshold to precision at the 101 recalls 0, .01 … 1, the mean over classes with ground truth; nan without any.
        images: how many images were evaluated.
        detections: how many detections were given.
    """

    kind: Kind
    figures: dict[str, float]
    per_class: dict[str, float]
    curves: dict[str, tuple[float, ...]]
    images: int
    detections: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object with the schema version; nan is null."""
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "figures": {name: _or_null(value) for name, value in self.figures.items()},
            "per_class": {name: _or_null(value) for name, value in self.per_class.items()},
            "curves": {iou: [_or_null(value) for value in curve] for iou, curve in self.curves.items()},
            "images": self.images,
            "detections": self.detections,
        }

    @classmethod
    def from_json(cls, data: Any) -> Evaluation:
        """Read what `to_json` wrote.

        Raises:
            ArtifactError: another schema.
        """
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            raise ArtifactError(f"an evaluation is a JSON object with schema {SCHEMA!r}, got {str(data)[:80]}.")
        return cls(
            data["kind"],
            {name: _or_nan(value) for name, value in data["figures"].items()},
            {name: _or_nan(value) for name, value in data["per_class"].items()},
            {iou: tuple(map(_or_nan, curve)) for iou, curve in data["curves"].items()},
            data["images"],
            data["detections"],
        )


class Bounds(NamedTuple):
    """The range in which the AP of all images will lie, in [0, 1]; see `bounds` for how far each end can be trusted."""

    lower: float
    upper: float


def evaluate(ground_truth: Mapping[str, Any] | Path, detections: Sequence[Mapping[str, Any]], *, kind: Kind = "bbox") -> Evaluation:
    """The COCO figures of detections. No detections give 0, not an error.

    Args:
        ground_truth: a COCO object or the path of its file.
        detections: COCO results: image_id, category_id, score and bbox [x, y, width, height] in pixels, or for segm a compressed RLE.
        kind: what the IoU is taken of.

    Raises:
        DatasetError: the ground truth cannot be used.
        ArtifactError: a detection is malformed or belongs to another ground truth.
    """
    truth = index_truth(read(ground_truth))
    evaluator = COCOeval(truth, index_detections(truth, detections, kind), kind)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    precision = evaluator.eval["precision"][:, :, :, 0, -1]  # (10 thresholds, 101 recalls, classes), all sizes, 100 detections
    return Evaluation(
        kind,
        {name: _or_nan(None if value < 0 else float(value)) for name, value in zip(FIGURES, evaluator.stats, strict=True)},
        {name: _mean(precision[:, :, place]) for place, name in enumerate(_class_names(truth))},
        {iou: tuple(map(_mean, precision[threshold])) for iou, threshold in CURVES.items()},
        len(truth.imgs),
        len(detections),
    )


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
    truth = index_truth(read(ground_truth))
    seen = set(seen_image_ids)
    found = index_detections(truth, detections_so_far, kind)
    for number, detection in enumerate(found.dataset["annotations"]):
        if detection["image_id"] not in seen:
            raise ArtifactError(f"detection {number} must lie in a seen image, but image {detection['image_id']} is not in seen_image_ids.")
    _add_perfect(truth, found, seen, kind)
    evaluator = COCOeval(truth, found, kind)
    evaluator.params.areaRng, evaluator.params.areaRngLbl, evaluator.params.maxDets = [_ALL_SIZES], ["all"], [100]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.evaluate()
        evaluator.accumulate()
        upper = _mean(evaluator.eval["precision"])
        _forget_unseen(evaluator, seen)
        evaluator.accumulate()
    return Bounds(_mean(evaluator.eval["precision"]), upper)


def _add_perfect(truth: COCO, found: COCO, seen: set[int], kind: Kind) -> None:
    """Give every object of the unseen images a detection of its own shape, above all scores. Crowds are ignored by COCO, and an object
    without area overlaps nothing, not even itself, so neither gets one."""
    detections = found.dataset["annotations"]
    score = math.nextafter(max((detection["score"] for detection in detections), default=0.0), math.inf)
    for annotation in truth.dataset["annotations"]:
        if annotation["image_id"] not in seen and not annotation["iscrowd"] and _extent(truth, annotation, kind) > 0:
            detections.append({**annotation, "id": len(detections) + 1, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        found.createIndex()


def _extent(truth: COCO, annotation: Mapping[str, Any], kind: Kind) -> float:
    """Square pixels of the box or of the mask."""
    if kind == "segm":
        return float(mask.area(truth.annToRLE(annotation)))
    return float(annotation["bbox"][2] * annotation["bbox"][3])


def _forget_unseen(evaluator: COCOeval, seen: set[int]) -> None:
    """Drop the detections of unseen images from the finished matching; their objects stay and count as missed."""
    for image in evaluator.evalImgs:
        if image is not None and image["image_id"] not in seen:
            image["dtScores"] = []
            image["dtMatches"], image["dtIgnore"] = image["dtMatches"][:, :0], image["dtIgnore"][:, :0]


def _class_names(truth: COCO) -> list[str]:
    """Names in the order of pycocotools' classes (by id), unique."""
    categories = sorted(truth.dataset["categories"], key=lambda category: category["id"])
    names = [str(category.get("name", category["id"])) for category in categories]
    times = Counter(names)
    return [name if times[name] == 1 else f"{name} ({category['id']})" for name, category in zip(names, categories, strict=True)]


def _mean(precision: NDArray[np.float64]) -> float:
    """Mean over what has ground truth; pycocotools marks the rest with -1."""
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else math.nan


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
