"""What `repair` does about each fault: what it keeps, what it changes, what it leaves out."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detkds.data.checking.rules import RULES, TOLERATED
from detkds.data.coco import inspect
from detkds.data.repair import BARE, Repaired, repair
from detkds.data.repair.clipping import clip_box, clip_polygon
from detkds.errors import DatasetError

Coco = dict[str, Any]
Write = Callable[[Any], Path]


def repaired(path: Path, images: Path | None = None) -> Repaired:
    return repair(inspect(path, images))


def ids(document: Coco, key: str) -> list[int]:
    return [entry["id"] for entry in document[key]]


def put(document: Any, where: tuple[Any, ...], value: Any) -> None:
    for key in where[:-1]:
        document = document[key]
    document[where[-1]] = value


# where, what is put there, the change made, and what stands there afterwards in annotation 12
MENDED: list[tuple[tuple[Any, ...], Any, str, str, Coco]] = [
    (("bbox",), [15, 5, 16, 2], "annotation.box-outside", "clipped to its image", {"bbox": [15, 5, 5, 2], "area": 10}),
    (("bbox",), [-4, -2, 10, 6.5], "annotation.box-outside", "clipped to its image", {"bbox": [0, 0, 6, 4.5], "area": 27.0}),
    (("iscrowd",), True, "annotation.iscrowd", "written as 0 or 1", {"iscrowd": 1}),
    (("iscrowd",), 0.0, "annotation.iscrowd", "written as 0 or 1", {"iscrowd": 0}),
    (("area",), math.nan, "annotation.area", "taken from mask or box", {"area": 50}),  # of the mask: 50 pixels after 150
    (("id",), 12.0, "annotation.id", "written as whole number", {"id": 12}),
    (("id",), "twelve", "annotation.id", "given an id of its own", {"id": 14}),  # the first after 13
    (("id",), 11, "annotation.id-duplicate", "given an id of its own", {"id": 14}),
    (("image_id",), 1.0, "annotation.image-unknown", "written as whole number", {"image_id": 1}),
    (("segmentation",), None, "annotation.segmentation", "mask dropped, box kept", {"bbox": [0, 0, 20, 10]}),
    (("segmentation", "counts"), [1, 2], "annotation.rle", "mask dropped, box kept", {"bbox": [0, 0, 20, 10]}),
    (("segmentation",), [[0, 0, 1, 1]], "annotation.polygon", "mask dropped, box kept", {"bbox": [0, 0, 20, 10]}),
    (("extra",), {"a": math.inf}, "annotation.other-value", "value dropped, the rest kept", {"bbox": [0, 0, 20, 10]}),
    (
        ("segmentation",),
        [[10, 2, 30, 2, 30, 8, 10, 8], [0, 0, 4, 0, 4, 4]],
        "annotation.polygon-outside",
        "clipped to its image",
        {"segmentation": [[10, 2, 20, 2, 20, 8, 10, 8], [0, 0, 4, 0, 4, 4]]},
    ),
]


@pytest.mark.parametrize(("where", "value", "rule", "done", "after"), MENDED, ids=[f"{n}-{case[2]}" for n, case in enumerate(MENDED)])
def test_what_can_be_mended_stays(
    sound: Coco, written: Write, where: tuple[Any, ...], value: Any, rule: str, done: str, after: Coco
) -> None:
    put(sound["annotations"][1], where, value)
    result = repaired(written(sound))
    assert (rule, done) in result.counts
    assert len(result.document["annotations"]) == 3
    entry = next(entry for entry in result.document["annotations"] if entry["bbox"] == after.get("bbox", [0, 0, 20, 10]))
    assert {key: entry[key] for key in after} == after
    assert ("segmentation" in entry) == (done != "mask dropped, box kept")
    assert "extra" not in entry


def test_missing_keys_are_filled_in_where_the_rest_says_them(sound: Coco, written: Write) -> None:
    for key in ("id", "area", "iscrowd"):
        del sound["annotations"][0][key]
    sound["annotations"][0]["segmentation"] = [[2, 3, 6, 3, 6, 8, 2, 8]]  # 4 x 5 pixels
    entry = repaired(written(sound)).document["annotations"][0]
    assert (entry["id"], entry["area"], entry["iscrowd"]) == (14, 20, 0)
    del sound["annotations"][0]["segmentation"]
    assert repaired(written(sound)).document["annotations"][0]["area"] == 4.5 * 5


@pytest.mark.parametrize(
    ("key", "value"),
    [("bbox", [0, 0, -1, 5]), ("bbox", [30, 0, 5, 5]), ("bbox", [math.nan] * 4), ("category_id", 99), ("image_id", 99), ("iscrowd", 2)],
)
def test_what_would_have_to_be_made_up_is_left_out(sound: Coco, written: Write, key: str, value: Any) -> None:
    sound["annotations"][1][key] = value
    result = repaired(written(sound))
    assert ids(result.document, "annotations") == [11, 13]
    assert [(change.done, change.id, change.place) for change in result.changes] == [("dropped", 12, 1)]


def test_an_image_goes_with_its_annotations(sound: Coco, written: Write) -> None:
    sound["images"][0]["file_name"] = "../a.png"
    result = repaired(written(sound))
    assert (ids(result.document, "images"), ids(result.document, "annotations")) == ([2], [13])
    assert [(change.rule, change.id) for change in result.changes] == [
        ("image.file-name", 1),
        ("annotation.image-unknown", 11),
        ("annotation.image-unknown", 12),
    ]


def test_an_image_that_lost_all_its_annotations_goes_too(sound: Coco, written: Write) -> None:
    """Kept, it would say that it shows no object. An image that never had any stays."""
    sound["images"].append({"id": 3, "file_name": "c.png", "width": 20, "height": 10})
    sound["annotations"][2]["bbox"] = [0, 0, -1, 5]
    result = repaired(written(sound))
    assert ids(result.document, "images") == [1, 3]
    assert (BARE, "dropped") in result.counts


def test_images_with_one_id_stay_only_if_they_are_one(sound: Coco, written: Write) -> None:
    same, other = copy.deepcopy(sound), copy.deepcopy(sound)
    same["images"].append(dict(sound["images"][0]))
    other["images"].append({"id": 1, "file_name": "c.png", "width": 20, "height": 10})
    assert ids(repaired(written(same)).document, "images") == [1, 2]
    result = repaired(written(other))  # whose are annotations 11 and 12? nobody knows
    assert (ids(result.document, "images"), ids(result.document, "annotations")) == ([2], [13])


def test_images_of_one_file_become_one(sound: Coco, written: Write) -> None:
    sound["images"][1]["file_name"] = "a.png"
    result = repaired(written(sound))
    assert ids(result.document, "images") == [1]
    assert [entry["image_id"] for entry in result.document["annotations"]] == [1, 1, 1]


def test_categories_of_one_name_become_one_and_of_one_id_none(sound: Coco, written: Write) -> None:
    named, numbered = copy.deepcopy(sound), copy.deepcopy(sound)
    named["categories"][1]["name"] = "cat"
    numbered["categories"].append({"id": 6, "name": "cow"})
    result = repaired(written(named)).document
    assert (ids(result, "categories"), [entry["category_id"] for entry in result["annotations"]]) == ([5], [5, 5, 5])
    result = repaired(written(numbered)).document
    assert (ids(result, "categories"), ids(result, "annotations")) == ([5], [11, 13])


def test_names_lose_what_is_invisible_in_them(sound: Coco, written: Write) -> None:
    sound["categories"][1]["name"] = "d\u200bo\x1bg\u202e"
    assert repaired(written(sound)).document["categories"][1]["name"] == "dog"


def test_numbers_written_as_7_0_become_whole_everywhere(sound: Coco, written: Write) -> None:
    broken = copy.deepcopy(sound)
    for key in ("images", "categories", "annotations"):
        for entry in broken[key]:
            for name in ("id", "image_id", "category_id", "width", "height", "iscrowd"):
                if name in entry:
                    entry[name] = float(entry[name])
    assert repaired(written(broken)).document == sound


@pytest.mark.parametrize("text", ["1541715161401", "cat-1", "007", " 5"])
def test_ids_in_quotes_become_numbers_and_annotations_follow(sound: Coco, written: Write, text: str) -> None:
    sound["images"][0]["id"] = sound["annotations"][0]["image_id"] = sound["annotations"][1]["image_id"] = text
    sound["categories"][0]["id"] = sound["annotations"][0]["category_id"] = sound["annotations"][2]["category_id"] = "five"
    document = repaired(written(sound)).document
    images, classes = ids(document, "images"), ids(document, "categories")
    assert len(set(images)) == len(set(classes)) == 2
    assert [entry["image_id"] for entry in document["annotations"]] == [images[0], images[0], images[1]]
    assert [entry["category_id"] for entry in document["annotations"]] == [classes[0], classes[1], classes[0]]
    assert images[0] == (int(text) if text.strip().isdigit() else 3)


def test_ids_that_differ_in_quotes_only_are_kept_apart(sound: Coco, written: Write) -> None:
    sound["images"][0]["id"] = "2"
    for annotation in sound["annotations"][:2]:
        annotation["image_id"] = "2"
    document = repaired(written(sound)).document
    assert ids(document, "images") == [3, 2]
    assert [entry["image_id"] for entry in document["annotations"]] == [3, 3, 2]


def test_all_numbers_in_quotes_become_numbers_everywhere(sound: Coco, written: Write) -> None:
    broken = copy.deepcopy(sound)
    for key in ("images", "categories", "annotations"):
        for entry in broken[key]:
            for name in ("id", "image_id", "category_id", "width", "height", "iscrowd", "area"):
                if name in entry:
                    entry[name] = str(entry[name])
    for entry in broken["annotations"]:
        entry["bbox"] = [str(number) for number in entry["bbox"]]
    assert repaired(written(broken)).document == sound


@pytest.mark.parametrize(
    "sides", [{}, {"width": 20}, {"width": 0, "height": 0}, {"width": None, "height": "10"}, {"width": "20", "height": 0}]
)
def test_sizes_that_were_not_written_are_taken_from_the_file(sound: Coco, written: Write, tmp_path: Path, sides: Coco) -> None:
    pictures(tmp_path / "images", "a.png", "more/b.png")
    right = copy.deepcopy(sound)
    sound["images"][0] = {"id": 1, "file_name": "a.png", **sides}
    result = repaired(written(sound), tmp_path / "images")
    assert result.document == right
    assert [change.done for change in result.changes] == ["taken from the file"]
    assert ids(repaired(written(sound)).document, "images") == [2]  # without the files there is nothing to take them from


def test_a_box_that_was_not_written_is_its_masks(sound: Coco, written: Write) -> None:
    right = copy.deepcopy(sound)
    del sound["annotations"][0]["bbox"]
    assert repaired(written(sound)).document == right


GOOD = [2, 3, 6.5, 3, 6.5, 8]
MASKS: list[tuple[Any, Any, str]] = [
    (GOOD, [GOOD], "written as a list of polygons"),
    ([[2, 3], [6.5, 3], [6.5, 8]], [GOOD], "written as a list of polygons"),
    ([[[2, 3], [6.5, 3], [6.5, 8]]], [GOOD], "written as a list of polygons"),
    ([[{"x": 2, "y": 3}, {"x": 6.5, "y": 3}, {"x": 6.5, "y": 8}]], [GOOD], "written as a list of polygons"),
    (["2", "3", "6.5", "3", "6.5", "8"], [GOOD], "written as a list of polygons"),
    ([GOOD, [1, 1], [1, 2, 3, 4]], [GOOD], "parts that are not polygons left out of the mask"),
    ([[1, 2, 3, 4], GOOD, [], GOOD], [GOOD, GOOD], "parts that are not polygons left out of the mask"),
    ([[1, 1], [1, 2, 3, 4], None], None, "mask dropped, box kept"),
    ([[1, 2, 3, 4, 5, 6, 7]], None, "mask dropped, box kept"),
]


@pytest.mark.parametrize(("mask", "after", "done"), MASKS)
def test_good_polygons_stay_however_they_are_written(sound: Coco, written: Write, mask: Any, after: Any, done: str) -> None:
    """Two faults of one rule in an entry are mended once; the entry stays."""
    sound["annotations"][0]["segmentation"] = mask
    result = repaired(written(sound))
    assert result.counts == {("annotation.polygon", done): 1} or result.counts == {("annotation.segmentation", done): 1}
    entry = result.document["annotations"][0]
    assert (entry["id"], entry.get("segmentation")) == (11, after)


NAMES = ["images\\1\\a.png", "..\\images\\a.png", "../a.png", "C:\\data\\a.png", "/data/local-files/?d=x/a.png", "https://host/x/a.png"]
NAMES += ["file:///home/me/a.png", "A.PNG", "./sub/a.png", "%61.png", "a.png "]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_written_as_the_path_below_the_image_folder(sound: Coco, written: Write, tmp_path: Path, name: str) -> None:
    pictures(tmp_path / "images", "a.png", "more/b.png")
    sound["images"][0]["file_name"] = name
    result = repaired(written(sound), tmp_path / "images")
    assert [image["file_name"] for image in result.document["images"]] == ["a.png", "more/b.png"]
    assert [change.done for change in result.changes] == ["written as the path below the image folder"]
    assert len(result.document["annotations"]) == 3


def test_a_name_in_another_form_of_unicode_is_found(sound: Coco, written: Write, tmp_path: Path) -> None:
    pictures(tmp_path / "images", "cafe\u0301.png", "more/b.png")
    sound["images"][0]["file_name"] = "caf\u00e9.png"
    assert repaired(written(sound), tmp_path / "images").document["images"][0]["file_name"] == "cafe\u0301.png"


def test_a_file_that_two_names_may_mean_is_nobodys(sound: Coco, written: Write, tmp_path: Path) -> None:
    """One of them is another picture, and its boxes would land on this one."""
    pictures(tmp_path / "images", "a.png", "more/b.png")
    sound["images"][0]["file_name"] = "x\\a.png"
    sound["images"].append({"id": 3, "file_name": "y\\a.png", "width": 20, "height": 10})
    result = repaired(written(sound), tmp_path / "images")
    assert ids(result.document, "images") == [2]


def test_images_that_lose_some_of_their_annotations_are_counted(sound: Coco, written: Write) -> None:
    sound["annotations"][0]["category_id"] = None
    result = repaired(written(sound))
    assert result.thinned == 1
    assert [change.dropped for change in result.changes] == [True]


def pictures(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10)).save(folder / name)


def test_text_faults_go_by_writing_anew(sound: Coco, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(sound).replace('"iscrowd": 1', '"iscrowd": 2, "iscrowd": 1'), encoding="utf-8-sig")
    result = repaired(tmp_path / "x.json")
    assert result.document == sound
    assert set(result.counts) == {("file.not-utf8", "written as UTF-8 without a mark"), ("file.duplicate-key", "last value kept")}


def test_image_files_are_looked_at_again_after_their_ids_are_mended(sound: Coco, written: Write, tmp_path: Path) -> None:
    """An entry without a usable id is not judged further, so its missing file shows only then."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (20, 10)).save(tmp_path / "images" / "a.png")
    sound["images"][1]["id"] = 2.0
    result = repaired(written(sound), tmp_path / "images")
    assert ids(result.document, "images") == [1]
    assert ("image.missing-file", "dropped") in result.counts


def test_a_sound_data_set_comes_back_as_it_is_and_the_original_is_never_changed(sound: Coco, written: Write) -> None:
    assert repaired(written(sound)) == Repaired(sound, ())
    sound["annotations"][1]["bbox"] = [15, 5, 16, 2]
    inspection = inspect(written(sound))
    assert repair(inspection).document != sound
    assert inspection.document == sound


def test_where_nothing_is_left_the_error_says_why(sound: Coco, written: Write) -> None:
    for image in sound["images"]:
        image["width"] = 0
    with pytest.raises(DatasetError, match=r"nothing is left to keep, images would be empty; most faults: image.size \(2\)"):
        repaired(written(sound))
    with pytest.raises(DatasetError, match=r"nothing to repair: .*file.not-json"):
        repaired(written("{"))


def test_tolerated_faults_stay_as_they_are(sound: Coco, written: Write) -> None:
    sound["annotations"][0]["bbox"] = [2, 3, 4.5, 0.0]
    assert set(inspect(written(sound)).findings.counts) <= TOLERATED <= set(RULES)
    assert repaired(written(sound)).document == sound


def test_boxes_are_cut_at_the_borders() -> None:
    assert clip_box([2, 3, 4.5, 5], (20, 10)) == [2, 3, 4.5, 5]
    assert clip_box([-3, -1, 30, 5], (20, 10)) == [0, 0, 20, 4]
    assert clip_box([20, 0, 5, 5], (20, 10)) is None


def test_polygons_are_cut_at_the_borders() -> None:
    # A triangle with corners (-10, 0), (10, 0), (10, 10): its slanted side meets x = 0 at y = 5.
    assert clip_polygon([-10, 0, 10, 0, 10, 10], (20, 10)) == [0, 0, 10, 0, 10, 10, 0, 5]
    # A diamond around (10, 5) that sticks out above and below: eight corners are left, on y = 0 and y = 10.
    clipped = clip_polygon([10, -5, 20, 5, 10, 15, 0, 5], (20, 10))
    assert clipped is not None
    assert sorted(zip(clipped[::2], clipped[1::2], strict=True)) == [(0, 5), (5, 0), (5, 10), (15, 0), (15, 10), (20, 5)]
    assert clip_polygon([30, 0, 40, 0, 40, 5], (20, 10)) is None
