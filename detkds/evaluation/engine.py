"""The two programs that count COCO's figures, behind one function."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detkds.evaluation.found import Found
from detkds.evaluation.truth import Kind, Truth

Engine = Literal["faster", "pycocotools"]
"""faster-coco-eval, or the reference in Python. They agree to rounding (1e-12), and the first is several times faster on every size."""
FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""The 12 figures in the order of pycocotools' stats."""
CURVES = {"0.50": 0, "0.75": 5}
"""IoU thresholds whose precision-recall curve is kept, with their place among .50, .55 … .95."""
SIZES = ("all", "s", "m", "l")
"""COCO's sizes in the order of the counts' axis: all, below 32², to 96² and above, in square pixels."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What both programs count.

    Args:
        figures: (12,) in [0, 1], -1 where the ground truth has no object (of that size).
        precision: (10 IoU thresholds .50 … .95, 101 recalls 0 … 1, C classes, 4 SIZES) with at most 100 detections; -1 likewise.
    """

    figures: NDArray[np.float64]
    precision: NDArray[np.float64]

    def named(self) -> dict[str, float]:
        """The 12 FIGURES by name, nan where there is no object."""
        return {name: math.nan if value < 0 else value for name, value in zip(FIGURES, self.figures.tolist(), strict=True)}

    def curves(self) -> dict[str, tuple[float, ...]]:
        """The precision-recall curves at IoU .5 and .75, means over the classes with objects; nan without any."""
        return {iou: tuple(mean(row) for row in self.precision[place, :, :, 0]) for iou, place in CURVES.items()}


def count(truth: Truth, found: Found, kind: Kind, *, engine: Engine = "faster") -> Counts:
    """COCO's count of all figures and curves."""
    evaluator = _faster(truth, found, kind) if engine == "faster" else _reference(truth, found, kind)
    with contextlib.redirect_stdout(io.StringIO()):  # both report on the terminal
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return Counts(np.array(evaluator.stats[: len(FIGURES)]), evaluator.eval["precision"][..., -1].copy())


def average_precision(truth: Truth, found: Found, kind: Kind) -> float:
    """COCO's AP alone, for a quarter of the work of all figures; nan without any object."""
    evaluator = _faster(truth, found, kind)
    evaluator.params.areaRng, evaluator.params.areaRngLbl, evaluator.params.maxDets = [[0, 1e10]], ["all"], [100]
    evaluator.evaluate()
    evaluator.accumulate()
    return mean(evaluator.eval["precision"])


def mean(precision: NDArray[np.float64]) -> float:
    """Mean over what has ground truth, which the programs mark with -1; nan without any."""
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else float("nan")


def _faster(truth: Truth, found: Found, kind: Kind) -> Any:
    from faster_coco_eval import COCO, COCOeval_faster

    return COCOeval_faster(*_indexed(COCO, truth, found), kind)


def _reference(truth: Truth, found: Found, kind: Kind) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return COCOeval(*_indexed(COCO, truth, found), kind)


def _indexed(coco: Any, truth: Truth, found: Found) -> tuple[Any, Any]:
    """Ground truth and detections as both programs read them. Images and classes are numbered by their places, which keeps their order,
    and annotations from 1, because both take id 0 for "no match"."""
    images = [{"id": place, "height": height, "width": width} for place, (height, width) in enumerate(truth.sizes.tolist())]
    shared = {"images": images, "categories": [{"id": place, "name": name} for place, name in enumerate(truth.classes)]}
    indexed = []
    objects = _annotations(truth, truth.crowd.astype(int).tolist(), [1.0] * len(truth.image))
    for rows in (objects, _annotations(found, [0] * len(found), found.score.tolist())):
        one = coco()
        one.dataset = shared | {"annotations": rows}
        with contextlib.redirect_stdout(io.StringIO()):
            one.createIndex()
        indexed.append(one)
    return indexed[0], indexed[1]


def _annotations(columns: Truth | Found, crowds: Sequence[int], scores: Sequence[float]) -> list[dict[str, Any]]:
    rows = zip(columns.image.tolist(), columns.category.tolist(), columns.box.tolist(), columns.area.tolist(), crowds, scores, strict=True)
    annotations = [
        {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": crowd, "score": score}
        for number, (image, category, box, area, crowd, score) in enumerate(rows, start=1)
    ]
    for annotation, shape in zip(annotations, columns.masks or [], strict=False):
        annotation["segmentation"] = shape
    return annotations
