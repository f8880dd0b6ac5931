"""Examples of an evaluation as pictures: what is there, and what each detector found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from detkds.evaluation.predictions import Prediction, draw

LONGEST = 640
"""Pixels of a picture's longer side, at most."""
TRUTH = "truth"


def pictures(
    image_ids: Sequence[int], truth: Mapping[str, Any], found: Mapping[str, Sequence[Mapping[str, Any]]], images: Path
) -> Iterator[tuple[str, Image.Image]]:
    """Pictures with their titles, `DETECTOR/FILE`.

    Args:
        image_ids: of the examples.
        truth: a checked COCO object.
        found: COCO results by the detector's name.
        images: the folder of the images.
    """
    files = {image["id"]: image["file_name"] for image in truth["images"]}
    classes = {category["id"]: str(category["name"]) for category in truth["categories"]}
    sides = {TRUTH: [{**one, "score": 1.0} for one in truth["annotations"]], **found}
    for name, detections in sides.items():
        by_image = defaultdict(list)
        for one in detections:
            x, y, width, height = one["bbox"]
            by_image[one["image_id"]].append(Prediction(classes[one["category_id"]], one["score"], (x, y, x + width, y + height)))
        for number in image_ids:
            picture = draw(images / files[number], sorted(by_image[number], key=lambda one: one.score))
            picture.thumbnail((LONGEST, LONGEST))
            yield f"{name}/{files[number]}", picture
