"""Ids of annotations that are counted from another first number than those of images or categories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detkds.data.coco import Inspection, inspect
from detkds.data.repair.repair import repair
from detkds.errors import DatasetError


def inspected(folder: Path, images: list[int], categories: list[int], used: list[tuple[int, int]]) -> Inspection:
    """A set with these ids, and annotations of these (image, category)."""
    coco: dict[str, Any] = {
        "images": [{"id": id, "file_name": f"{id}.png", "width": 200, "height": 100} for id in images],
        "categories": [{"id": id, "name": f"class {id}"} for id in categories],
        "annotations": [
            {"id": n, "image_id": image, "category_id": category, "bbox": [5, 5, 20, 10 + n], "area": 20 * (10 + n), "iscrowd": 0}
            for n, (image, category) in enumerate(used)
        ],
    }
    path = folder / "coco.json"
    path.write_text(json.dumps(coco))
    return inspect(path)


@pytest.mark.parametrize(
    ("first", "says"), [(0, "category_id 0 to 2, categories have 1 to 3"), (2, "category_id 2 to 4, categories have 1 to 3")]
)
def test_category_ids_one_off_are_refused_and_never_repaired(tmp_path: Path, first: int, says: str) -> None:
    found = inspected(tmp_path, [1, 2, 3], [1, 2, 3], [(1, first), (2, first + 1), (3, first + 2)])
    assert found.findings.counts["annotation.ids-shifted"] == 1
    with pytest.raises(DatasetError, match=says):
        repair(found)


def test_image_ids_one_off_are_refused_and_never_repaired(tmp_path: Path) -> None:
    found = inspected(tmp_path, [1, 2, 3], [1, 2], [(0, 1), (1, 2), (2, 1)])
    with pytest.raises(DatasetError, match="image_id 0 to 2, images have 1 to 3"):
        repair(found)


@pytest.mark.parametrize("used", [[(1, 1), (2, 2)], [(1, 2), (2, 3)], [(1, 1), (2, 9)], [(1, 0), (2, 3)]])
def test_unused_classes_and_single_strange_ids_are_no_shift(tmp_path: Path, used: list[tuple[int, int]]) -> None:
    found = inspected(tmp_path, [1, 2, 3], [1, 2, 3], used)
    assert "annotation.ids-shifted" not in found.findings.counts
    repair(found)


def test_an_image_that_is_left_out_makes_no_shift(tmp_path: Path) -> None:
    found = inspected(tmp_path, [1, 2, 3], [1, 2], [(1, 1), (2, 2)])
    assert found.document is not None
    found.document["images"][0]["file_name"] = "../outside.png"
    (tmp_path / "coco.json").write_text(json.dumps(found.document))
    assert [entry["image_id"] for entry in repair(inspect(tmp_path / "coco.json")).document["annotations"]] == [2]
