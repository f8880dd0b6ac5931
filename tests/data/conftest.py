"""A small sound data set, for tests to break."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Coco = dict[str, Any]


@pytest.fixture
def sound() -> Coco:
    """Two images of 20 x 10 pixels, two categories, three annotations: a polygon, a run-length list, a run-length text."""
    return {
        "info": {"year": 2024},
        "images": [
            {"id": 1, "file_name": "a.png", "width": 20, "height": 10},
            {"id": 2, "file_name": "more/b.png", "width": 20, "height": 10, "licence": 3},
        ],
        "annotations": [
            {
                "id": 11,
                "image_id": 1,
                "category_id": 5,
                "bbox": [2, 3, 4.5, 5],
                "area": 22.5,
                "iscrowd": 0,
                "segmentation": [[2, 3, 6.5, 3, 6.5, 8]],
            },
            {
                "id": 12,
                "image_id": 1,
                "category_id": 6,
                "bbox": [0, 0, 20, 10],
                "area": 50,
                "iscrowd": 1,
                "segmentation": {"size": [10, 20], "counts": [150, 50]},
            },
            # "f4b1" is 150 then 50: 150 = 00100 10110, low five bits first, 22 + 32 (more follows) + 48 = 102 = f, 4 + 48 = 4;
            # 50 = 00001 10010, 18 + 32 + 48 = 98 = b, 1 + 48 = 1.
            {
                "id": 13,
                "image_id": 2,
                "category_id": 5,
                "bbox": [15, 0, 5, 10],
                "area": 50,
                "iscrowd": 0,
                "segmentation": {"size": [10, 20], "counts": "f4b1"},
                "attributes": {"colour": ["red"]},
            },
        ],
        "categories": [{"id": 5, "name": "cat"}, {"id": 6, "name": "dog"}],
    }


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Any], Path]:
    """Write a document (or text as it is) as an annotation file and return its path."""

    def write(document: Any) -> Path:
        path = tmp_path / "instances.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return write
