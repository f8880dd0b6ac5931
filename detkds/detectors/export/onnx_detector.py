"""A detector that is an ONNX file, with what comes before and after the graph; docs/deploy.md has the same in a few lines."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detkds.detectors.export.letterbox import Letterbox, Pixels, Placed
from detkds.detectors.export.onnx import INPUT, Suppression

SUREST = 5000
"""Candidates of one image that go into NMS, a box of a class each."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Of one image, the most confident first: boxes (D, 4), x1 y1 x2 y2 in its own pixels, scores (D,) in [0, 1], labels (D,)."""

    boxes: Pixels
    scores: Pixels
    labels: Pixels


@dataclass(frozen=True, slots=True)
class OnnxDetector:
    """An ONNX file with what comes before and after it, on the CPU.

    Args:
        session: onnxruntime's.
        letterbox: that it was exported with.
        suppression: what is done with candidates.
        classes: names in label order.
    """

    session: Any
    letterbox: Letterbox
    suppression: Suppression
    classes: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> OnnxDetector:
        """The detector of a file of `onnx.export`."""
        import onnxruntime  # type: ignore[import-untyped]

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        metadata = {name: _frozen(json.loads(value)) for name, value in session.get_modelmeta().custom_metadata_map.items()}
        letterbox, suppression = ({field.name: metadata[field.name] for field in fields(kind)} for kind in (Letterbox, Suppression))
        return cls(session, Letterbox(**letterbox), Suppression(**suppression), metadata["classes"])

    def __call__(self, image: Pixels) -> Detections:
        """What it finds in an image (H, W, 3), uint8, RGB."""
        placed = self.letterbox.place(image)
        return suppress(*self.candidates(placed), placed, self.suppression)

    def candidates(self, placed: Placed) -> tuple[Pixels, Pixels]:
        """Boxes (P, 4) and scores (P, K) of an image, as the graph gives them."""
        boxes, scores = self.session.run(None, {INPUT: placed.pixels[None]})
        return boxes[0], scores[0]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def suppress(boxes: Pixels, scores: Pixels, placed: Placed, how: Suppression) -> Detections:
    """Detections among the candidates of one image, as mmdet finds them: NMS within classes.

    Args:
        boxes, scores: (P, 4) and (P, K), as the graph gives them.
        placed: the image that they belong to.
        how: thresholds.
    """
    if how.clip:
        boxes = boxes.clip(0, np.array(placed.size[::-1] * 2, boxes.dtype))
    boxes = boxes / np.array(placed.scale * 2, boxes.dtype)
    sizes = boxes[:, 2:] - boxes[:, :2]
    rows, labels = np.nonzero((scores > how.score_threshold) & (sizes > 0).all(1, keepdims=True))
    certainty = scores[rows, labels]
    surest = np.argsort(-certainty, kind="stable")[:SUREST]
    rows, labels, certainty = rows[surest], labels[surest], certainty[surest]
    corners = np.concatenate([boxes[:, :2], sizes], 1)[rows]
    kept: Any = cv2.dnn.NMSBoxesBatched(corners, certainty, labels, how.score_threshold, how.iou_threshold)  # type: ignore[arg-type]
    kept = np.array(kept, int)[: how.most if how.most > 0 else None]
    return Detections(boxes[rows[kept]], certainty[kept], labels[kept])
