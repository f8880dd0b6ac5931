"""Ground truth as columns: what every count of this package starts from. The caller's objects are not changed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from detkds.errors import DatasetError

Kind = Literal["bbox", "segm"]
"""What the IoU is taken of."""
Masks = list[dict[str, Any]]
"""Compressed run lengths of COCO: {"size": [height, width], "counts": bytes or str}."""
_REMEDY = "checking the file as a data set lists all its faults."


@dataclass(frozen=True, slots=True)
class Truth:
    """G objects in I images of C classes, ordered by image and within one image as in the file.

    Args:
        image_ids: the I ids, ascending; `image` holds places in it.
        class_ids: the C ids, ascending; `category` holds places in it.
        classes: C names, distinguished by their id where they are shared.
        supercategories: C names, None where the file gives none.
        sizes: (I, 2) height and width in pixels, 0 where the file gives none.
        image: (G,) int64.
        category: (G,) int64.
        box: (G, 4) float64, x, y, width and height in pixels.
        area: (G,) float64, square pixels; an absent area is that of the box.
        crowd: (G,) bool; an absent iscrowd is false.
        masks: G masks for kind segm, else None.
    """

    image_ids: tuple[int, ...]
    class_ids: tuple[int, ...]
    classes: tuple[str, ...]
    supercategories: tuple[str | None, ...]
    sizes: NDArray[np.int64]
    image: NDArray[np.int64]
    category: NDArray[np.int64]
    box: NDArray[np.float64]
    area: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    masks: Masks | None

    def objects(self) -> NDArray[np.int64]:
        """(C,) how many objects each class has, crowds left out as COCO does."""
        return np.bincount(self.category[~self.crowd], minlength=len(self.classes))


def read(ground_truth: Mapping[str, Any] | Path) -> dict[str, Any]:
    """The COCO object with images, annotations and categories.

    Raises:
        DatasetError: the file cannot be read, is not JSON, or lacks one of the three lists.
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


def read_truth(ground_truth: Mapping[str, Any] | Path, kind: Kind) -> Truth:
    """The ground truth of a COCO object or file.

    Raises:
        DatasetError: the file cannot be read, a record lacks a key or holds something else than its rule says, or an annotation names an
            image or category that the file does not have.
    """
    data = read(ground_truth)
    try:
        return _columns(data, kind)
    except (KeyError, TypeError, IndexError, ValueError, OverflowError, AttributeError) as error:
        raise DatasetError(f"a COCO ground truth must be well-formed, but stumbles over {error!s:.120}; {_REMEDY}") from None


def _columns(data: Mapping[str, Any], kind: Kind) -> Truth:
    images = {_whole(image["id"], "image id"): image for image in data["images"]}
    categories = {_whole(category["id"], "category id"): category for category in data["categories"]}
    image_ids, class_ids = tuple(sorted(images)), tuple(sorted(categories))
    annotations = data["annotations"]
    places = _places(annotations, image_ids, class_ids)
    sizes = np.array([_size(images[name]) for name in image_ids], np.int64).reshape(-1, 2)
    order = np.argsort(places[:, 0], kind="stable")
    places, ordered = places[order], [annotations[number] for number in order]
    masks = [_rle(annotation, sizes[image]) for annotation, image in zip(ordered, places[:, 0], strict=True)] if kind == "segm" else None
    boxes = [annotation["bbox"] for annotation in ordered] if masks is None else [mask.toBbox(rle) for rle in masks]
    box = np.array(boxes, np.float64).reshape(len(boxes), 4)
    return Truth(
        image_ids,
        class_ids,
        _names([categories[name] for name in class_ids]),
        tuple(_supercategory(categories[name]) for name in class_ids),
        sizes,
        places[:, 0],
        places[:, 1],
        _finite(box, "bbox"),
        _finite(np.array([a.get("area", width * height) for a, (*_, width, height) in zip(ordered, box, strict=True)], np.float64), "area"),
        np.array([bool(annotation.get("iscrowd", 0)) for annotation in ordered], np.bool_),
        masks,
    )


def _places(annotations: Sequence[Mapping[str, Any]], image_ids: Sequence[int], class_ids: Sequence[int]) -> NDArray[np.int64]:
    """(G, 2) places of image and class."""
    images = {name: place for place, name in enumerate(image_ids)}
    classes = {name: place for place, name in enumerate(class_ids)}
    strays = [a for a in annotations if a["image_id"] not in images or a["category_id"] not in classes]
    if strays:
        raise DatasetError(
            f"every annotation must name an image and a category of its file, but {len(strays)} do not, such as one of image "
            f"{strays[0]['image_id']!r:.40} and category {strays[0]['category_id']!r:.40}; {_REMEDY}"
        )
    return np.array([(images[a["image_id"]], classes[a["category_id"]]) for a in annotations], np.int64).reshape(-1, 2)


def _size(image: Mapping[str, Any]) -> tuple[int, int]:
    return image.get("height") or 0, image.get("width") or 0


def _supercategory(category: Mapping[str, Any]) -> str | None:
    name = category.get("supercategory")
    return str(name) if name else None


def _names(categories: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    names = [str(category.get("name", category["id"])) for category in categories]
    times = Counter(names)
    return tuple(name if times[name] == 1 else f"{name} ({category['id']})" for name, category in zip(names, categories, strict=True))


def _rle(annotation: Mapping[str, Any], size: NDArray[np.int64]) -> dict[str, Any]:
    """The mask of polygons, of plain or of compressed run lengths."""
    shape, (height, width) = annotation["segmentation"], (int(size[0]), int(size[1]))
    if isinstance(shape, list):
        parts = mask.frPyObjects(shape, height, width)
        return dict(mask.merge(parts))
    if [height, width] != list(shape["size"]):
        raise ValueError(f"a mask of size {shape['size']} in an image of size {[height, width]}")
    return dict(mask.frPyObjects(shape, height, width) if isinstance(shape["counts"], list) else shape)


def _whole(value: Any, what: str) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise TypeError(f"{what} {value!r:.40}, which is not a whole number of 64 bits")
    return value


def _finite(values: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        raise ValueError(f"a {what} that is not finite")
    return values
