"""Public bug reports of this trade (../shared/cases), each with what is right: what is found, and what a repaired copy holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detkds.data.coco import inspect
from detkds.data.repair import Named, repair
from detkds.errors import DatasetError

Coco = dict[str, Any]


@pytest.fixture(scope="module")
def cases() -> Path:
    folder = Path(__file__).resolve().parents[3] / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip("needs the cases in ../shared/cases")
    return folder


def boxes(document: Coco) -> list[Any]:
    return [entry["bbox"] for entry in document["annotations"]]


# case: annotation file, image folder, faults that stop a run
FOUND: dict[str, tuple[str, str | None, Coco]] = {
    "01 stored frame": ("01/annotations/raw_raw.json", "01/raw_raw", {"image.exif": 24}),
    "01 stored frame, train": ("01/annotations/train_raw.json", "01/train_raw", {"image.exif": 16}),
    "01 stored sizes, upright boxes": ("01/annotations/upright_rawsize.json", "01/upright_rawsize", {"image.exif": 24}),
    "01 upright": ("01/annotations/upright.json", "01/upright", {}),
    "02 backslashes": ("02/result.json", None, {"image.file-name": 4}),
    "03 climbing names": ("03/annotations.json", None, {"image.file-name": 4}),
    "04 flat polygons": ("04/annotations.json", None, {"annotation.polygon": 29}),
    "05 short polygons": ("05/annotations.json", None, {"annotation.polygon": 15}),
    "06 corners": ("06/annotations.json", None, {"annotation.box-reading": 1, "annotation.box-outside": 45}),
    "07 VIA": ("07/annotations.json", None, {"image.size": 4, "annotation.category-unknown": 10}),
    "08 Roboflow train": ("08/train/_annotations.coco.json", None, {}),
    "08 Roboflow test": ("08/test/_annotations.coco.json", None, {}),
    "10 quoted ids": ("10/annotations.json", None, {"image.id": 4, "annotation.image-unknown": 29}),
    "11 ids from 0": ("11/gt.json", None, {}),
    "19 twelve bits": ("19/annotations.json", None, {"image.depth": 24}),
    "20 formats": ("20/annotations.json", None, {"image.missing-file": 1, "image.unreadable": 3}),
    "21 names": ("21/set/annotations/test.json", None, {}),
    "23 ZIP": ("23/annotations.json", None, {"file.not-json": 1}),
}


@pytest.mark.parametrize("case", FOUND)
def test_every_case_is_found_as_what_it_is(cases: Path, case: str) -> None:
    file, images, expected = FOUND[case]
    found = inspect(cases / file, cases / images if images else None, near=True).findings
    assert {rule: count for rule, count in found.counts.items() if rule != "annotation.area-box"} == expected
    assert found.sound == (not expected)


# case: what the person names, and images and annotations of the copy
KEPT = {
    "01 stored frame": (Named(), 24, 145),
    "01 stored sizes, upright boxes": (Named(), 24, 145),
    "02 backslashes": (Named(), 4, 29),
    "03 climbing names": (Named(), 8, 57),
    "04 flat polygons": (Named(), 4, 29),
    "05 short polygons": (Named(), 4, 29),
    "06 corners": (Named(boxes="corners"), 8, 57),
    "07 VIA": (Named(), 4, 19),
    "10 quoted ids": (Named(), 4, 29),
    "20 formats": (Named(), 11, 55),
}


@pytest.mark.parametrize("case", KEPT)
def test_a_repaired_copy_keeps_what_can_be_kept(cases: Path, tmp_path: Path, case: str) -> None:
    file, images, _ = FOUND[case]
    named, kept, annotations = KEPT[case]
    found = inspect(cases / file, cases / images if images else None, near=True)
    copy = repair(found, named=named)
    assert (len(copy.document["images"]), len(copy.document["annotations"])) == (kept, annotations)
    (tmp_path / "copy.json").write_text(json.dumps(copy.document))
    assert inspect(tmp_path / "copy.json", found.images).findings.sound


@pytest.mark.parametrize("case", ["01 stored frame", "01 stored sizes, upright boxes"])
def test_case_01_comes_out_as_the_upright_control(cases: Path, case: str) -> None:
    file, images, _ = FOUND[case]
    copy = repair(inspect(cases / file, cases / str(images))).document
    control = json.loads((cases / "01/annotations/upright.json").read_text())
    assert boxes(copy) == boxes(control)
    assert [(image["width"], image["height"]) for image in copy["images"]] == [(160, 128)] * 24


def test_case_04_and_05_keep_the_masks(cases: Path) -> None:
    for case in ("04", "05"):
        for entry in repair(inspect(cases / case / "annotations.json", near=True)).document["annotations"]:
            x, y, width, height = entry["bbox"]
            assert entry["segmentation"] == [[x, y, x + width, y, x + width, y + height, x, y + height]]


def test_case_06_is_converted_and_never_clipped(cases: Path) -> None:
    found = inspect(cases / "06/annotations.json", near=True)
    with pytest.raises(DatasetError, match=r"57 of the 57 boxes fit as \[x1, y1, x2, y2\], 12 as .*; say what they are with --boxes"):
        repair(found)
    copy = repair(found, named=Named(boxes="corners"))
    for entry in copy.document["annotations"]:
        assert entry["area"] == entry["bbox"][2] * entry["bbox"][3]
    assert {change.rule for change in copy.changes} == {"annotation.box-reading"}


def test_case_07_says_that_objects_are_lost(cases: Path) -> None:
    assert repair(inspect(cases / "07/annotations.json", near=True)).thinned == 4


def test_case_10_keeps_the_numbers_of_the_ids(cases: Path) -> None:
    document = repair(inspect(cases / "10/annotations.json", near=True)).document
    assert [image["id"] for image in document["images"]] == [1541715161401, 1541715161402, 1541715161403, 1541715161404]


def test_case_20_names_the_files(cases: Path) -> None:
    said = "\n".join(fault.detail for fault in inspect(cases / "20/annotations.json", near=True).findings.faults)
    read = "'float.tif': OpenCV, which detectors read images with, cannot decode"
    for part in (read, "it is a GIF", "'truncated.jpg'", "no file 'café.jpg'"):
        assert part in said
