"""A COCO results file from outside, checked against the ground truth it was made for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detkds.data.checking import masks
from detkds.data.checking.bombs import why_bomb
from detkds.data.checking.rules import MAX_BYTES
from detkds.errors import ArtifactError
from detkds.evaluation.found import load_results, read_found
from detkds.evaluation.truth import read_truth


def read_results(path: Path, truth: Mapping[str, Any], annotations: Path) -> list[dict[str, Any]]:
    """The detections of a results file; nothing in it is trusted. A mask without a box has the box around it, as for pycocotools.

    Args:
        path: of the results file.
        truth: a checked COCO object.
        annotations: names its file in errors.

    Raises:
        ArtifactError: the file cannot be read or is far larger than results are, or a detection is malformed or of another data set.
    """
    if path.is_file() and (excess := _excess(path)):
        raise ArtifactError(f"{path} must be a COCO results file, but has {excess}; give fewer detections, or another file.")
    detections = load_results(path)
    _require_same_images(path, detections, truth, annotations)
    masked = bool(detections) and all(isinstance(one, dict) and one.get("segmentation") for one in detections)
    try:
        found = read_found(read_truth(truth, "bbox"), detections, "segm" if masked else "bbox")
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None
    if masked:
        _require_whole_masks(path, detections)
        for place, box in zip(found.given.tolist(), found.box.tolist(), strict=True):
            detections[place].setdefault("bbox", box)
    return detections


def _excess(path: Path) -> str | None:
    """Why a file would take more memory than any results file, before it is parsed."""
    size = path.stat().st_size
    return f"{size:,} bytes, more than {MAX_BYTES:,}" if size > MAX_BYTES else why_bomb(path)


def _require_same_images(path: Path, detections: Sequence[Any], truth: Mapping[str, Any], annotations: Path) -> None:
    images = {image["id"] for image in truth["images"]}
    named = [one.get("image_id") for one in detections if isinstance(one, dict)]
    strange = [image for image in named if type(image) is not int or image not in images]
    quoted = [image for image in strange if isinstance(image, str) and image.isdecimal() and int(image) in images]
    if quoted:
        raise ArtifactError(
            f"{path}: image_id must be a number as in {annotations}, but {len(quoted)} of {len(detections)} are text, first {quoted[0]!r}; "
            "write them without quotes."
        )
    if strange:
        raise ArtifactError(
            f"{path}: every detection must be of an image of {annotations}, but {len(strange)} of {len(detections)} are not, first one of "
            f"image {strange[0]!r:.40}; give the annotations that it was made for."
        )


def _require_whole_masks(path: Path, detections: Sequence[Mapping[str, Any]]) -> None:
    """Code that draws run lengths reads beyond their end if they do not fill their image."""
    for number, detection in enumerate(detections):
        height, width = detection["segmentation"]["size"]
        for _, detail in masks.breaches(detection["segmentation"], (width, height)):
            raise ArtifactError(f"{path}: detection {number} (image {detection['image_id']}) must have a whole mask, but its {detail}.")
