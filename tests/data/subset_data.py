"""COCO dicts for tests of subsets, with everything that has to come through unchanged."""

from __future__ import annotations

import random
from typing import Any

Coco = dict[str, Any]
SIDES = (10.0, 50.0, 150.0)  # of square boxes: small, medium, large


def made(boxes: dict[int, list[tuple[int, float]]], crowd: tuple[int, ...] = ()) -> Coco:
    """A COCO dict from {image: [(category, side of a square box)]}; all boxes of the images in `crowd` are crowd regions."""
    annotations: list[dict[str, Any]] = [
        {
            "image_id": image,
            "category_id": category,
            "bbox": [0, 0, side, side],
            "area": side**2 / 4,
            "iscrowd": int(image in crowd),
            "segmentation": {"size": [200, 200], "counts": [0, 40000]} if image in crowd else [[0, 0, side, 0.125, side / 3, side]],
            "attributes": {"occluded": image % 2 == 0, "score": 1 / (image + 3), "note": None},
        }
        for image, objects in boxes.items()
        for category, side in objects
    ]
    for id, annotation in enumerate(annotations, start=1):
        annotation["id"] = id
    categories = sorted({annotation["category_id"] for annotation in annotations}) or [1]
    return {
        "info": {"made": True},
        "licenses": [{"id": 1, "url": "http://example.org/"}],
        "extra": [1, 2],
        "images": [{"id": image, "file_name": f"{image}.jpg", "width": 200, "height": 200, "flickr": image} for image in boxes],
        "annotations": annotations,
        "categories": [{"id": category, "name": f"class {category}", "skeleton": [[1, 2]]} for category in categories],
    }


def drawn(seed: int, images: int, classes: int, *, mean: int = 4) -> Coco:
    """A COCO dict with random objects; every seventh image has none, classes are the rarer the higher they are."""
    draw = random.Random(seed)
    weights = [1 / (1 + number) for number in range(classes)]
    boxes = {
        image: [(kind + 1, draw.choice(SIDES)) for kind in draw.choices(range(classes), weights, k=draw.randint(1, 2 * mean - 1))]
        if image % 7
        else []
        for image in range(images)
    }
    return made(boxes)


def ids(coco: Coco) -> set[int]:
    return {image["id"] for image in coco["images"]}
