"""Boxes that are no [x, y, width, height] in pixels are recognised by the whole set, and converted only where that is named."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from detkds.data.checking.readings import READINGS
from detkds.data.coco import inspect
from detkds.data.repair import Named, repair
from detkds.errors import DatasetError

Coco = dict[str, Any]


def world(count: int, seed: int, reading: str, *, shares: bool = False, corner: float = 1.0) -> tuple[Coco, list[list[float]]]:
    """Boxes at random places of a 200 x 100 image, written as `reading`; and what they are. `corner` bounds where objects may be."""
    chance = random.Random(seed)
    right, written = [], []
    for _ in range(count):
        width, height = chance.randint(5, 60), chance.randint(5, 40)
        x, y = chance.randint(0, int((200 - width) * corner)), chance.randint(0, int((100 - height) * corner))
        right.append([x, y, width, height])
        as_read = {"sides": [x, y, width, height], "corners": [x, y, x + width, y + height]}
        as_read["centres"] = [x + width / 2, y + height / 2, width, height]
        as_read |= {"sides-yx": [y, x, height, width], "corners-yx": [y, x, y + height, x + width]}
        box = as_read[reading]
        written.append(
            [value / side for value, side in zip(box, (100, 200) * 2 if reading.endswith("yx") else (200, 100) * 2, strict=True)]
            if shares
            else box
        )
    areas = [width * height for _, _, width, height in right]
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": box, "area": area, "iscrowd": 0}
            for n, (box, area) in enumerate(zip(written, areas, strict=True))
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    return coco, right


def put(folder: Path, coco: Coco) -> Path:
    path = folder / "coco.json"
    path.write_text(json.dumps(coco))
    return path


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_boxes_of_every_reading_are_told_apart_and_converted(tmp_path: Path, reading: str, shares: bool, seed: int) -> None:
    coco, right = world(200, seed, reading, shares=shares)
    found = inspect(put(tmp_path, coco))
    if reading == "sides" and not shares:
        assert found.findings.faults == []
        return
    assert found.findings.counts["annotation.box-reading"] == 1
    if not shares:
        assert READINGS[reading] in found.findings.faults[0].detail
    with pytest.raises(DatasetError, match="say what they are with --boxes sides, corners, centres"):
        repair(found)
    mended = repair(found, named=Named(boxes=reading))
    assert [entry["bbox"] for entry in mended.document["annotations"]] == [pytest.approx(box) for box in right]
    assert [entry["area"] for entry in mended.document["annotations"]] == [entry["area"] for entry in coco["annotations"]]
    assert inspect(put(tmp_path, mended.document)).findings.faults == []


def test_corners_in_the_first_quarter_are_known_by_their_areas(tmp_path: Path) -> None:
    """Read as sides they stay within the image, every one."""
    coco, _ = world(60, 0, "sides")
    for n, entry in enumerate(coco["annotations"]):
        entry |= {"bbox": [5 + n % 7, 3 + n % 5, 40 + n % 9, 30 + n % 6], "area": (35 + n % 9 - n % 7) * (27 + n % 6 - n % 5)}
    mended = repair(inspect(put(tmp_path, coco)), named=Named(boxes="corners")).document["annotations"]
    assert [entry["bbox"][2] * entry["bbox"][3] for entry in mended] == [entry["area"] for entry in coco["annotations"]]
    for entry in coco["annotations"]:
        entry["area"] = entry["bbox"][2] * entry["bbox"][3]
    assert inspect(put(tmp_path, coco)).findings.faults == []


def test_a_few_boxes_that_leave_their_image_are_no_other_reading(tmp_path: Path) -> None:
    coco, _ = world(200, 0, "sides")
    for entry in coco["annotations"][:30]:
        entry["bbox"][2] += 200
    assert set(inspect(put(tmp_path, coco)).findings.counts) == {"annotation.box-outside"}


def test_a_wrong_name_is_refused(tmp_path: Path) -> None:
    coco, _ = world(200, 0, "corners")
    found = inspect(put(tmp_path, coco))
    with pytest.raises(DatasetError, match=r"read as \[centre x, centre y, width, height\], \d+% of the boxes fit their images"):
        repair(found, named=Named(boxes="centres"))


def test_a_person_may_say_that_the_boxes_are_cocos(tmp_path: Path) -> None:
    coco, _ = world(200, 0, "corners")
    mended = repair(inspect(put(tmp_path, coco)), named=Named(boxes="sides"))
    assert any(change.rule == "annotation.box-outside" and change.done == "clipped to its image" for change in mended.changes)
    assert inspect(put(tmp_path, mended.document)).findings.sound


def test_boxes_are_converted_after_what_else_is_at_fault(tmp_path: Path) -> None:
    """Quoted ids hide sizes, without which shares cannot be converted."""
    coco, right = world(50, 0, "centres", shares=True)
    for entry in coco["annotations"][:20]:
        entry["image_id"] = "1"
    mended = repair(inspect(put(tmp_path, coco)), named=Named(boxes="centres"))
    assert [entry["bbox"] for entry in mended.document["annotations"]] == [pytest.approx(box) for box in right]


def test_boxes_of_images_of_another_size_are_not_cut_to_what_is_left_of_them(tmp_path: Path) -> None:
    coco, _ = world(200, 0, "sides")
    for entry in coco["annotations"]:
        entry["bbox"] = [2 * value for value in entry["bbox"]]
    found = inspect(put(tmp_path, coco))
    assert "lie wholly outside their images" in found.findings.faults[0].detail
    with pytest.raises(DatasetError, match="correct the source"):
        repair(found)
    assert repair(found, named=Named(boxes="sides")).document["annotations"]  # said to be right, what lies outside goes


def test_a_few_boxes_outside_are_faults_of_their_own(tmp_path: Path) -> None:
    coco, _ = world(200, 0, "sides")
    for entry in coco["annotations"][:5]:
        entry["bbox"][0] = 300
    found = inspect(put(tmp_path, coco))
    assert found.findings.counts == {"annotation.box-outside": 5}
    assert len(repair(found).document["annotations"]) == 195
