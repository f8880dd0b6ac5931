"""A detector that is an ONNX file, with what comes before and after the graph; docs/deploy.md has the same in a few lines.

An MLflow model carries a copy of this file, so it imports numpy, OpenCV and onnxruntime and nothing of this package.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
INPUT = "images"
"""Name of the graph's input."""
SUREST = 5000
"""Candidates of one image that go into NMS, a box of a class each."""


class Placed(NamedTuple):
    """An image on a letterbox.

    Args:
        pixels: (3, H, W) float32, RGB, 0 to 255: the image in the upper left corner, padding around it.
        size: height and width of the image there, in pixels.
        scale: (x, y), by which its pixels must be divided to be those of the original.
    """

    pixels: Pixels
    size: tuple[int, int]
    scale: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A picture of fixed size.

    Args:
        height, width: in pixels.
        padding: RGB, 0 to 255, where no image is.
        keep_ratio: whether images keep their ratio of sides; else they are stretched over the whole letterbox.
    """

    height: int
    width: int
    padding: tuple[float, float, float]
    keep_ratio: bool = True

    def place(self, image: Pixels) -> Placed:
        """An image (H, W, 3), uint8, RGB, as large as the letterbox allows, in its upper left corner."""
        height, width = image.shape[:2]
        across, down = self.width / width, self.height / height
        if self.keep_ratio:
            across = down = min(across, down)
        size = (int(width * across + 0.5), int(height * down + 0.5))  # mmcv's rounding
        pixels = np.full((self.height, self.width, 3), self.padding, np.float32)
        pixels[: size[1], : size[0]] = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_LINEAR)
        return Placed(np.ascontiguousarray(pixels.transpose(2, 0, 1)), (size[1], size[0]), (size[0] / width, size[1] / height))


@dataclass(frozen=True, slots=True)
class Suppression:
    """What mmdet does with candidates, in the words of its test_cfg.

    Args:
        score_threshold: lower scores are not detections.
        iou_threshold: of two boxes of a class with a higher IoU the better one stays.
        most: detections per image, the most confident; -1 for all, as in YOLOX.
        clip: boxes are cut at the image's border, before NMS.
    """

    score_threshold: float
    iou_threshold: float
    most: int
    clip: bool


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


class FilesDetector:
    """The detector as MLflow calls it, with the bytes of image files."""

    def __init__(self, detector: OnnxDetector) -> None:
        self._detector = detector

    def predict(self, images: Any, params: Any = None) -> list[dict[str, Any]]:
        """What is found in each image, the highest score first: boxes (x1 y1 x2 y2 in pixels of the image), scores, and labels, the names
        of classes.

        Args:
            images: the bytes of a JPEG, PNG or other image file each; or a table of pandas with one column of them.
            params: none are known; MLflow hands them over.

        Raises:
            ValueError: OpenCV cannot decode one of them.
        """
        files: Iterable[bytes] = images.iloc[:, 0] if hasattr(images, "iloc") else images
        return [self._answer(self._detector(_decoded(number, file))) for number, file in enumerate(files)]

    def _answer(self, found: Detections) -> dict[str, Any]:
        labels = [self._detector.classes[label] for label in found.labels]
        return {"boxes": found.boxes.tolist(), "scores": found.scores.tolist(), "labels": labels}


def _decoded(number: int, file: bytes) -> Pixels:
    """The image (H, W, 3), uint8, RGB, turned as its EXIF data say."""
    found = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR) if isinstance(file, bytes) and file else None
    if found is None:
        raise ValueError(f"image {number} cannot be decoded; give the bytes of an image file, such as a JPEG or PNG.")
    return found.astype(np.uint8, copy=False)[:, :, ::-1]


def _load_pyfunc(path: str) -> FilesDetector:
    """What MLflow loads a model by: its name is part of MLflow's interface (`loader_module`)."""
    return FilesDetector(OnnxDetector.load(Path(path)))
