"""Whether an ONNX file finds in images what mmdet finds in them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample

from detkds.detectors.export.onnx_detector import SUREST, Detections, Letterbox, OnnxDetector, Pixels, suppress
from detkds.detectors.predict import look

COMPARED = 20
"""Detections per image, the most confident ones, below the score threshold too: also a detector that is sure of nothing is compared."""
CLOSE_BOX, CLOSE_SCORE = 1.0, 1e-3
"""How far a detection's sides (pixels) and score may be from its counterpart's."""
ALL = 10**9


@dataclass(frozen=True, slots=True)
class Parity:
    """How two programs agree.

    Args:
        images: that both looked at.
        detections: that were compared, of both sides.
        alone: of these, those that the other side has not.
        box, score: largest absolute difference among the others, in pixels of the original image and in units of the score.
    """

    images: int
    detections: int
    alone: int
    box: float
    score: float


def compare(detector: Any, exported: OnnxDetector, images: Sequence[Pixels]) -> Parity:
    """Compare mmdet's own predictions with those of an exported graph.

    Args:
        detector: that was exported, on the CPU, in evaluation mode.
        exported: the graph.
        images: (H, W, 3), uint8, RGB.
    """
    differences: list[tuple[float, float] | None] = []
    for image in images:
        placed = exported.letterbox.place(image)
        boxes, scores = exported.candidates(placed)
        floor = _floor(scores, int(detector.bbox_head.test_cfg.get("nms_pre", -1)))
        ours = suppress(boxes, scores, placed, replace(exported.suppression, score_threshold=floor))
        with _threshold(detector, floor):
            theirs = found(detector, exported.letterbox, image)
        differences += [*_differences(ours, theirs, floor), *_differences(theirs, ours, floor)]
    shared = np.array([pair for pair in differences if pair is not None]).reshape(-1, 2)
    box, score = shared.max(0, initial=0.0).tolist()
    return Parity(len(images), len(differences), len(differences) - len(shared), box, score)


def _floor(scores: Pixels, before_nms: int) -> float:
    """The score above which the graph left out no candidate of any level, and NMS none for their number."""
    count = min(before_nms, SUREST) if before_nms > 0 else SUREST
    return float(np.partition(scores, -count, axis=None)[-count]) if scores.size > count else 0.0


def found(detector: Any, letterbox: Letterbox, image: Pixels) -> Detections:
    """What mmdet finds in an image (H, W, 3), uint8, RGB, that is put on a letterbox."""
    placed = letterbox.place(image)
    shapes = {"img_shape": placed.size, "ori_shape": image.shape[:2], "scale_factor": placed.scale}
    pixels = torch.from_numpy(placed.pixels[::-1].copy())  # mmdet's pipelines load BGR
    batch = {"inputs": [pixels], "data_samples": [DetDataSample(metainfo=shapes)]}
    result = look(detector, detector.data_preprocessor(batch, False))[0].pred_instances
    return Detections(result.bboxes.numpy(), result.scores.numpy(), result.labels.numpy())


@contextmanager
def _threshold(detector: Any, score: float) -> Iterator[None]:
    """The detector with this score threshold, and with all candidates above it in NMS."""
    head = detector.bbox_head
    usual = head.test_cfg
    head.test_cfg = copy.deepcopy(usual)
    head.test_cfg.update(score_thr=score, nms_pre=ALL)
    try:
        yield
    finally:
        head.test_cfg = usual


def _differences(ours: Detections, theirs: Detections, floor: float) -> list[tuple[float, float] | None]:
    """Of each of our most confident detections, how far the nearest of theirs is, (box, score); None where none is close.

    Those so near to the floor that they may lie below it on the other side do not count; mmdet also lists some whose class score alone is
    above it.
    """
    first = slice(min(COMPARED, int((ours.scores > floor * (1 + CLOSE_SCORE)).sum())))
    boxes = np.abs(ours.boxes[first, None] - theirs.boxes[None]).max(2)
    scores = np.abs(ours.scores[first, None] - theirs.scores[None])
    close = (boxes <= CLOSE_BOX) & (scores <= CLOSE_SCORE) & (ours.labels[first, None] == theirs.labels[None])
    if not theirs.scores.size:
        return [None] * len(boxes)
    nearest = enumerate(np.where(close, boxes, np.inf).argmin(1))
    return [(float(boxes[place]), float(scores[place])) if close[place] else None for place in nearest]
