"""Ground truths and detections for the tests of figures: made by hand, at random, and COCO's own example."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from detkds.evaluation.found import read_found
from detkds.evaluation.matching import Matches, match
from detkds.evaluation.truth import Kind, read_truth

IMAGES, CLASSES = 6, 2
A, B, NOWHERE = [10.0, 10.0, 40.0, 40.0], [100.0, 100.0, 40.0, 40.0], [150.0, 10.0, 20.0, 20.0]


def truth(boxes: list[tuple[int, int, list[float]]], *, images: int = 2, classes: tuple[str, ...] = ("cat", "dog")) -> dict[str, Any]:
    """A ground truth of (image, category, box); ids of annotations from 0, as some tools write them."""
    return {
        "images": [{"id": image, "width": 200, "height": 200, "file_name": f"{image}.png"} for image in range(1, images + 1)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, start=1)],
        "annotations": [
            {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for number, (image, category, box) in enumerate(boxes)
        ],
    }


def detection(image: int, category: int, box: list[float], score: float) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


def matches(ground_truth: dict[str, Any], detections: list[dict[str, Any]], kind: Kind = "bbox") -> Matches:
    columns = read_truth(ground_truth, kind)
    return match(columns, read_found(columns, detections, kind), kind)


def world(seed: int, *, distinct: bool = False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Six images of crowded, degenerate and overlapping boxes, and a detector that is right now and then; many scores are equal unless
    `distinct`."""
    draw = random.Random(seed)
    annotations = [
        {
            "id": i,
            "image_id": draw.randrange(IMAGES),
            "category_id": draw.randrange(CLASSES),
            "bbox": _box(draw),
            "iscrowd": int(i % 7 == 0),
        }
        for i in range(14)
    ]
    ground_truth = {
        "images": [{"id": i, "width": 100, "height": 100} for i in range(IMAGES)],
        "categories": [{"id": i, "name": str(i)} for i in range(CLASSES)],
        "annotations": annotations,
    }
    hits = [{**draw.choice(annotations), "score": draw.choice((0.2, 0.5, 0.9))} for _ in range(12)]
    misses = [
        {"image_id": draw.randrange(IMAGES), "category_id": draw.randrange(CLASSES), "bbox": _box(draw), "score": draw.random()}
        for _ in range(8)
    ]
    keys = ("image_id", "category_id", "bbox", "score")
    found = [{key: detection[key] for key in keys} for detection in (*hits, *misses)]
    for number, one in enumerate(found if distinct else []):
        one["score"] += number * 1e-4
    return ground_truth, found


def _box(draw: random.Random) -> list[float]:
    return [draw.randrange(0, 60), draw.randrange(0, 60), draw.randrange(0, 40), draw.randrange(1, 40)]


def coco_example(shared_data: Path, kind: Kind) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The 100 images of val2014 with the COCO API's made-up results."""
    folder = shared_data / "cocoapi_results"
    names = ("instances_val2014_100.json", f"instances_val2014_fake{kind}100_results.json")
    ground_truth, found = (json.loads((folder / name).read_text()) for name in names)
    return ground_truth, found
