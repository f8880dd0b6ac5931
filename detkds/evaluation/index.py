"""What pycocotools needs in memory, made from checked copies: neither the caller's ground truth nor its detections are changed."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pycocotools import mask
from pycocotools.coco import COCO

from detkds.errors import ArtifactError, DatasetError

Kind = Literal["bbox", "segm"]
_REMEDY = "checking the file as a data set lists all its faults."


def read(ground_truth: Mapping[str, Any] | Path) -> dict[str, Any]:
    """The COCO object with images, annotations and categories.

    Raises:
        DatasetError: the file cannot be read, is no JSON, or lacks one of the three lists.
    """
    data = _load(ground_truth) if isinstance(ground_truth, Path) else ground_truth
    for key in ("images", "annotations", "categories"):
        if not (isinstance(data, Mapping) and isinstance(data.get(key), list)):
            raise DatasetError(f"a COCO ground truth holds a list {key!r}, but this one does not; {_REMEDY}")
    return dict(data)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} must be a COCO annotation file, but cannot be read: {error}") from None


def index_truth(ground_truth: Mapping[str, Any]) -> COCO:
    """The ground truth as pycocotools reads it.

    Annotation ids are numbered anew from 1, because pycocotools takes id 0 for "no match". An absent iscrowd is 0 and an absent area is
    that of the box.

    Raises:
        DatasetError: a record lacks a key, or an annotation names an image or category that the file does not have.
    """
    try:
        images = {image["id"] for image in ground_truth["images"]}
        categories = {category["id"] for category in ground_truth["categories"]}
        annotations = [_renumbered(annotation, number) for number, annotation in enumerate(ground_truth["annotations"], start=1)]
        strays = [a for a in annotations if a["image_id"] not in images or a["category_id"] not in categories]
    except (KeyError, TypeError, IndexError) as error:
        raise DatasetError(f"a COCO ground truth must be well-formed, but stumbles over {error}; {_REMEDY}") from None
    if strays:
        raise DatasetError(
            f"every annotation must name an image and a category of its file, but {len(strays)} do not, such as one of image "
            f"{strays[0]['image_id']!r:.40} and category {strays[0]['category_id']!r:.40}; {_REMEDY}"
        )
    return _index({**ground_truth, "annotations": annotations})


def _renumbered(annotation: Mapping[str, Any], number: int) -> dict[str, Any]:
    area = annotation["area"] if "area" in annotation else annotation["bbox"][2] * annotation["bbox"][3]
    return {**annotation, "id": number, "iscrowd": annotation.get("iscrowd", 0), "area": area}


def index_detections(truth: COCO, detections: Sequence[Mapping[str, Any]], kind: Kind) -> COCO:
    """Checked detections as pycocotools reads them; the area that sorts them by size is the box's for bbox and the mask's for segm.

    Raises:
        ArtifactError: a detection is malformed, not finite, or names an image or category that the ground truth does not have.
    """
    shaped = _box if kind == "bbox" else _mask
    annotations = []
    for number, detection in enumerate(detections):
        where = f"detection {number}"
        if not isinstance(detection, Mapping):
            raise ArtifactError(f"{where} must be an object of COCO's results format, but is {str(detection)[:60]!r}.")
        image, category, score = (detection.get(key) for key in ("image_id", "category_id", "score"))
        if not _known(image, truth.imgs) or not _known(category, truth.cats):
            raise ArtifactError(
                f"{where} must name an image and a category of the ground truth, but names image {image!r:.60} and category "
                f"{category!r:.60}; evaluate it against the annotations it was made for."
            )
        if not _finite(score):
            raise ArtifactError(f"{where} (image {image}) must have a finite score, but has {score!r:.60}.")
        annotations.append(
            {"id": number + 1, "image_id": image, "category_id": category, "score": score, "iscrowd": 0}
            | shaped(detection, truth.imgs[image], where)
        )
    return _index({"images": truth.dataset["images"], "categories": truth.dataset["categories"], "annotations": annotations})


def _box(detection: Mapping[str, Any], image: Mapping[str, Any], where: str) -> dict[str, Any]:
    box = detection.get("bbox")
    if not (isinstance(box, Sequence) and len(box) == 4 and all(map(_finite, box)) and box[2] >= 0 and box[3] >= 0):
        raise ArtifactError(
            f"{where} (image {image['id']}) must have bbox [x, y, width, height] of finite numbers, width and height >= 0, got {box!r:.90}."
        )
    return {"bbox": list(box), "area": box[2] * box[3]}


def _mask(detection: Mapping[str, Any], image: Mapping[str, Any], where: str) -> dict[str, Any]:
    rle = detection.get("segmentation")
    size = [image.get("height"), image.get("width")]
    if not (isinstance(rle, Mapping) and isinstance(rle.get("counts"), str | bytes) and list(rle.get("size", ())) == size):
        raise ArtifactError(
            f"{where} (image {image['id']}) must have a compressed RLE segmentation of the image's size {size}, got {rle!r:.90}."
        )
    return {"segmentation": dict(rle), "area": float(mask.area(rle))}


def _known(key: Any, table: Mapping[Any, Any]) -> bool:
    return isinstance(key, Hashable) and key in table


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):
        return False


def _index(dataset: Mapping[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = dataset
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco
