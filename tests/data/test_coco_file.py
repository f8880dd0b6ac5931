"""Each rule of `detkds.data.checking.rules.RULES` with a data set that breaks it, and the real data sets that break none."""

from __future__ import annotations

import copy
import json
import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pycocotools import mask as run_lengths

from detkds.data import RULES, check, content_digest, load, to_json
from detkds.data.checking import document as document_module
from detkds.errors import DatasetError

Coco = dict[str, Any]
Write = Callable[[Any], Path]


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


# where (path into the sound data set), what is put there, the rule broken, the id of what is at fault
BROKEN: list[tuple[tuple[Any, ...], Any, str, int | None]] = [
    (("images",), {}, "file.structure", None),
    (("categories",), "cat", "file.structure", None),
    (("info",), nested(40), "file.other-value", None),
    (("info",), {"year": math.nan}, "file.other-value", None),
    (("info",), "\ud800", "file.other-value", None),
    (("\udfff",), 1, "file.other-value", None),
    (("annotations", 0, "attributes"), nested(33), "annotation.other-value", 11),
    (("annotations", 0, "attributes"), {"a": [{"\ud800": 1}]}, "annotation.other-value", 11),
    (("annotations", 0, "score"), math.inf, "annotation.other-value", 11),
    (("annotations", 1, "segmentation", "more"), nested(40), "annotation.rle", 12),
    (("images", 0, "bbox"), nested(40), "image.other-value", 1),
    (("images", 1, "licence"), 2**63, "image.other-value", 2),
    (("categories", 1, "supercategory"), -(10**20), "category.other-value", 6),
    (("images", 1), 7, "image.type", None),
    (("images", 1), {"id": 2, "width": 20}, "image.missing-key", 2),
    (("images", 1, "id"), "2", "image.id", None),
    (("images", 1, "id"), True, "image.id", None),
    (("images", 1, "id"), -2, "image.id", None),
    (("images", 1, "id"), 10**400, "image.id", None),
    (("images", 1, "id"), [[]], "image.id", None),
    (("images", 1, "id"), 1, "image.id-duplicate", 1),
    (("images", 1, "width"), 0, "image.size", 2),
    (("images", 1, "height"), -10, "image.size", 2),
    (("images", 1, "height"), 10.0, "image.size", 2),
    (("images", 1, "width"), None, "image.size", 2),
    (("images", 1, "width"), 2**62, "image.too-large", 2),
    (("images", 1, "file_name"), "/etc/passwd", "image.file-name", 2),
    (("images", 1, "file_name"), "../a.png", "image.file-name", 2),
    (("images", 1, "file_name"), 5, "image.file-name", 2),
    (("images", 1, "file_name"), "./a.png", "image.file-name-duplicate", 2),
    (("images", 1, "file_name"), "A.PNG", "image.file-name-alike", 2),
    (("images", 1, "file_name"), "a.png\ufe0f", "image.file-name-alike", 2),
    (("images", 1, "file_name"), "x\u2215a.png", "image.file-name", 2),
    (("categories", 1), None, "category.type", None),
    (("categories", 1), {"id": 6}, "category.missing-key", 6),
    (("categories", 1, "id"), 1.5, "category.id", None),
    (("categories", 1, "id"), 5, "category.id-duplicate", 5),
    (("categories", 1, "name"), "", "category.name", 6),
    (("categories", 1, "name"), "d\x00g", "category.name", 6),
    (("categories", 1, "name"), "\ud800", "category.name", 6),
    (("categories", 1, "name"), "d\u200bog", "category.name", 6),
    (("categories", 1, "name"), " \u3000", "category.name", 6),
    (("categories", 1, "name"), "Cat ", "category.name-alike", 6),
    (("categories", 1, "name"), ["dog"], "category.name", 6),
    (("categories", 1, "name"), "cat", "category.name-duplicate", 6),
    (("annotations", 1), [1], "annotation.type", None),
    (("annotations", 1), {"id": 12, "image_id": 1, "category_id": 5, "bbox": [0, 0, 1, 1]}, "annotation.missing-key", 12),
    (("annotations", 1, "id"), None, "annotation.id", None),
    (("annotations", 1, "id"), 11, "annotation.id-duplicate", 11),
    (("annotations", 1, "image_id"), 99, "annotation.image-unknown", 12),
    (("annotations", 1, "image_id"), {}, "annotation.image-unknown", 12),
    (("annotations", 1, "category_id"), 7, "annotation.category-unknown", 12),
    (("annotations", 1, "category_id"), [5], "annotation.category-unknown", 12),
    (("annotations", 1, "bbox"), [0, 0, 5], "annotation.box", 12),
    (("annotations", 1, "bbox"), [0, 0, 5, math.nan], "annotation.box", 12),
    (("annotations", 1, "bbox"), [0, 0, math.inf, 5], "annotation.box", 12),
    (("annotations", 1, "bbox"), [0, 0, 5, 10**400], "annotation.box", 12),
    (("annotations", 1, "bbox"), [0, 0, 1e308, 1e308], "annotation.box", 12),
    (("annotations", 1, "bbox"), [0, 0, 5, True], "annotation.box", 12),
    (("annotations", 1, "bbox"), "0 0 5 5", "annotation.box", 12),
    (("annotations", 1, "bbox"), [5, 5, -3, 2], "annotation.box-negative", 12),
    (("annotations", 1, "bbox"), [5, 5, 3, 0], "annotation.box-empty", 12),
    (("annotations", 1, "bbox"), [5, 5, 0.99, 50], "annotation.box-thin", 12),
    (("annotations", 1, "bbox"), [5, 5, 16.1, 2], "annotation.box-outside", 12),  # ends at 21.1, more than 1 beyond 20
    (("annotations", 1, "bbox"), [-1.1, 5, 6, 2], "annotation.box-outside", 12),
    (("annotations", 1, "bbox"), [5, 10, 2, 1], "annotation.box-outside", 12),  # within the tolerance, but wholly below the image
    (("annotations", 1, "bbox"), [500, 5, 2, 2], "annotation.box-outside", 12),
    (("annotations", 1, "area"), 0, "annotation.area-box", 12),
    (("annotations", 1, "area"), 202.1, "annotation.area-box", 12),  # more than 1.01 x 20 x 10
    (("annotations", 1, "area"), math.inf, "annotation.area", 12),
    (("annotations", 1, "area"), -1, "annotation.area", 12),
    (("annotations", 1, "area"), "50", "annotation.area", 12),
    (("annotations", 1, "iscrowd"), 2, "annotation.iscrowd", 12),
    (("annotations", 1, "iscrowd"), True, "annotation.iscrowd", 12),
    (
        ("annotations", 2),
        {"id": 3, "image_id": 1, "category_id": 5, "bbox": [2, 3, 4.5, 5], "area": 1, "iscrowd": 1},
        "annotation.repeated",
        3,
    ),
    (("annotations", 1, "segmentation"), None, "annotation.segmentation", 12),
    (("annotations", 1, "segmentation"), [[0, 0, 1, 1]], "annotation.polygon", 12),
    (("annotations", 1, "segmentation"), [[0, 0, 1, 1, 2, 2, 3]], "annotation.polygon", 12),
    (("annotations", 1, "segmentation"), [[0, 0, 1, 1, 2, math.nan]], "annotation.polygon", 12),
    (("annotations", 1, "segmentation"), [0, 0, 1, 1, 2, 2], "annotation.polygon", 12),
    (("annotations", 1, "segmentation"), [[0, 0, 1, 1, 2, 1e9]], "annotation.polygon-outside", 12),
    (("annotations", 1, "segmentation", "counts"), [150, 49], "annotation.rle", 12),
    (("annotations", 1, "segmentation", "counts"), [250, -50], "annotation.rle", 12),
    (("annotations", 1, "segmentation", "counts"), [150.0, 50], "annotation.rle", 12),
    (("annotations", 1, "segmentation", "counts"), "f4b2", "annotation.rle", 12),  # 150 + 82
    (("annotations", 1, "segmentation", "counts"), "f4b", "annotation.rle", 12),  # ends where more should follow
    (("annotations", 1, "segmentation", "counts"), "f4 1", "annotation.rle", 12),
    (("annotations", 1, "segmentation", "counts"), "o" * 5000, "annotation.rle", 12),  # a number without end
    (("annotations", 1, "segmentation", "counts"), None, "annotation.rle", 12),
    (("annotations", 1, "segmentation", "size"), [20, 10], "annotation.rle", 12),
    (("annotations", 1, "segmentation", "size"), [10**400, 1], "annotation.rle", 12),
]
# broken in tests of their own below
ELSEWHERE = {"file.missing", "file.too-large", "file.bomb", "file.not-utf8", "file.not-json", "file.duplicate-key", "file.empty"}
ELSEWHERE |= {"folder.missing", "image.missing-file", "image.unreadable", "image.scans", "image.size-differs", "image.same-content"}
ELSEWHERE |= {"image.exif", "image.depth", "annotation.box-reading"}  # test_frames.py, test_pictures.py, test_readings.py
ELSEWHERE |= {"annotation.ids-shifted"}  # test_shifts.py


def test_a_sound_data_set_has_no_faults_and_loads_unchanged(sound: Coco, written: Write) -> None:
    assert check(written(sound)) == []
    assert load(written(sound)) == sound


# What points to a thing that has lost its id; a box cut short that no longer holds its area.
COMPANIONS = {"annotation.image-unknown", "annotation.category-unknown", "annotation.area-box", "annotation.box-outside"}


@pytest.mark.parametrize(("where", "value", "rule", "id"), BROKEN, ids=[f"{case[2]}-{n}" for n, case in enumerate(BROKEN)])
def test_each_rule_is_noticed(sound: Coco, written: Write, where: tuple[Any, ...], value: Any, rule: str, id: int | None) -> None:
    place = sound
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    faults = check(written(sound))
    assert (rule, id) in [(fault.rule, fault.id) for fault in faults]
    assert {fault.rule for fault in faults} - {rule} <= COMPANIONS
    for fault in faults:
        assert "\n" not in str(fault)
        assert len(fault.detail) < 400


def test_every_rule_has_a_case() -> None:
    assert {rule for _, _, rule, _ in BROKEN} | ELSEWHERE == set(RULES)


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_an_empty_data_set_is_refused(sound: Coco, written: Write, key: str) -> None:
    sound[key] = []
    assert "file.empty" in {fault.rule for fault in check(written(sound))}


@pytest.mark.parametrize("text", ["", "{", "[1, 2", '{"images": nul}', "9" * 5000, "[" * 100_000, '"\\'])
def test_what_is_no_json_is_one_fault(written: Write, text: str) -> None:
    assert [fault.rule for fault in check(written(text))] == ["file.not-json"]


@pytest.mark.parametrize("text", [b'{"images": "\xff\xfe"}', "{}".encode("utf-16"), b'{"a": "\xed\xa0\x80"}'])
def test_bytes_that_are_no_text_are_one_fault(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "x.json").write_bytes(text)
    assert [fault.rule for fault in check(tmp_path / "x.json")] == ["file.not-utf8"]


def test_a_byte_order_mark_is_a_fault_beside_the_others(sound: Coco, tmp_path: Path) -> None:
    sound["images"][1]["width"] = 0
    (tmp_path / "x.json").write_text(json.dumps(sound), encoding="utf-8-sig")
    assert [fault.rule for fault in check(tmp_path / "x.json")] == ["file.not-utf8", "image.size"]


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        ('{"images": [], "images": [], "annotations": [], "categories": []}', "'images' stands 2 times in an object with the id None"),
        ('{"images": [{"id": 7, "width": 1, "w\\u0069dth" : 2}]}', "'width' stands 2 times in an object with the id 7"),
    ],
)
def test_a_key_that_stands_twice_is_a_fault(written: Write, text: str, twice: str) -> None:
    """Readers differ in which of the two they take."""
    faults = [fault for fault in check(written(text)) if fault.rule == "file.duplicate-key"]
    assert [fault.detail for fault in faults] == [twice]


def test_a_missing_file_and_a_folder_are_one_fault(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        assert [(fault.rule, fault.file) for fault in check(path)] == [("file.missing", str(path))]


def test_a_large_file_is_refused_unread(sound: Coco, written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_module, "MAX_BYTES", 100)
    assert [fault.rule for fault in check(written(sound))] == ["file.too-large"]


def test_a_box_of_no_height_is_reported_but_loads(sound: Coco, written: Write) -> None:
    """Stock COCO train2017 has two of them."""
    sound["annotations"][0]["bbox"] = [2, 3, 4.5, 0.0]
    (fault,) = check(written(sound))
    assert (fault.rule, fault.tolerated) == ("annotation.box-empty", True)
    assert load(written(sound)) == sound


def test_boxes_and_polygons_may_leave_their_image_by_one_pixel(sound: Coco, written: Write) -> None:
    sound["annotations"][0]["bbox"] = [-1, -1, 22, 12]
    sound["annotations"][0]["segmentation"] = [[-1, -1, 21, -1, 21, 11]]
    assert check(written(sound)) == []


def test_load_names_the_number_and_the_first_faults(sound: Coco, written: Write) -> None:
    for annotation in sound["annotations"]:
        annotation["iscrowd"] = 2
    sound["images"][1]["width"] = 0
    path = written(sound)
    with pytest.raises(DatasetError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: 4 faults: image 2: width is 0, height is 10 [image.size]; annotation 11: iscrowd is 2 ")
    remedy = "Correct the file (`detkds data check` lists all of them and says what --fix can mend) and try again."
    assert message.endswith(f"and 1 more. {remedy}")


def test_hostile_values_do_not_flood_messages(sound: Coco, written: Write) -> None:
    sound["images"][1]["file_name"] = "\x1b[31m" + "x" * 100_000 + "\n"
    sound["annotations"][0]["bbox"] = ["y" * 100_000] * 20
    with pytest.raises(DatasetError) as caught:
        load(written(sound))
    assert len(str(caught.value)) < 800
    assert str(caught.value).isprintable()


@pytest.fixture
def folder(sound: Coco, tmp_path: Path) -> Path:
    """The image files of the sound data set."""
    (tmp_path / "images" / "more").mkdir(parents=True)
    for image in sound["images"]:
        Image.new("RGB", (20, 10)).save(tmp_path / "images" / image["file_name"])
    return tmp_path / "images"


def test_existing_images_are_sound(sound: Coco, written: Write, folder: Path) -> None:
    assert check(written(sound), folder, look="pixels") == []
    assert load(written(sound), folder) == sound


def test_a_missing_folder_is_one_fault(sound: Coco, written: Write, tmp_path: Path) -> None:
    assert [fault.rule for fault in check(written(sound), tmp_path / "none")] == ["folder.missing"]


def test_missing_images_are_named(sound: Coco, written: Write, folder: Path) -> None:
    (folder / "a.png").unlink()
    (folder / "more" / "b.png").unlink()
    os.mkfifo(folder / "more" / "b.png")  # opening a pipe would hang
    faults = check(written(sound), folder, look="pixels")
    assert [(fault.rule, fault.id) for fault in faults] == [("image.missing-file", 1), ("image.missing-file", 2)]


def test_a_link_out_of_the_folder_is_refused(sound: Coco, written: Write, folder: Path, tmp_path: Path) -> None:
    (folder / "a.png").rename(tmp_path / "secret.png")
    (folder / "a.png").symlink_to(tmp_path / "secret.png")
    assert [(fault.rule, fault.id) for fault in check(written(sound), folder, look="pixels")] == [("image.file-name", 1)]


def test_images_of_another_size_are_found(sound: Coco, written: Write, folder: Path) -> None:
    Image.new("RGB", (10, 20)).save(folder / "a.png")
    assert [(fault.rule, fault.id) for fault in check(written(sound), folder, look="pixels")] == [("image.size-differs", 1)]
    assert [fault.rule for fault in check(written(sound), folder)] == ["image.size-differs"]
    assert check(written(sound), folder, look="names") == []


def test_a_picture_turned_by_its_exif_block_has_the_upright_size(sound: Coco, written: Write, folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (10, 20)).save(folder / "a.png", exif=exif)
    assert check(written(sound), folder, look="pixels") == []


def test_truncated_and_foreign_files_are_unreadable(sound: Coco, written: Write, folder: Path) -> None:
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) // 2])
    Image.new("P", (20, 10)).save(folder / "more" / "b.png", format="GIF")
    faults = check(written(sound), folder, look="pixels")
    assert [(fault.rule, fault.id) for fault in faults] == [("image.unreadable", 1), ("image.unreadable", 2)]


def test_a_decompression_bomb_is_not_decoded(sound: Coco, written: Write, folder: Path) -> None:
    bomb = bytearray((folder / "a.png").read_bytes())
    bomb[16:24] = (12_000).to_bytes(4, "big") * 2  # the header's width and height: 144 million pixels
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    (folder / "a.png").write_bytes(bomb)
    (fault,) = check(written(sound), folder, look="pixels")
    assert (fault.rule, fault.detail) == ("image.too-large", "the file has 12000 x 12000 pixels")
    assert [fault.rule for fault in check(written(sound), folder)] == ["image.too-large"]


def test_run_length_text_is_read_as_pycocotools_reads_it(sound: Coco, written: Write) -> None:
    """Differences from two numbers before begin with the fourth number; 3 runs do not show that, 6 do, also negative ones."""
    code = run_lengths.frPyObjects({"size": [10, 20], "counts": [40, 7, 93, 2, 50, 8]}, 10, 20)
    sound["annotations"][2]["segmentation"] = {"size": [10, 20], "counts": code["counts"].decode()}
    assert check(written(sound)) == []
    assert run_lengths.area(code) == 7 + 2 + 8


def test_digest_follows_content_and_nothing_else(sound: Coco) -> None:
    reordered = json.loads(json.dumps(dict(reversed(sound.items())), indent=2))
    assert content_digest(reordered) == content_digest(sound)
    assert to_json(reordered) != to_json(sound)
    changed = copy.deepcopy(sound)
    changed["annotations"][0]["bbox"][0] = 2.5
    assert content_digest(changed) != content_digest(sound)


BCCD = [("train", "train"), ("train40", "train"), ("val", "val"), ("test", "test")]
REAL = [("bccd", name, images) for name, images in BCCD]
REAL += [("coco_ccby", f"instances_{part}2017", f"{part}2017") for part in ("train", "val")]


@pytest.mark.parametrize(("data_set", "name", "images"), REAL)
def test_real_data_sets_are_sound(shared_data: Path, data_set: str, name: str, images: str) -> None:
    root = shared_data / data_set
    assert check(root / "annotations" / f"{name}.json", root / images, look="pixels") == []


def test_coco_ground_truth_of_2014_is_sound(shared_data: Path) -> None:
    assert check(shared_data / "cocoapi_results" / "instances_val2014_100.json") == []
