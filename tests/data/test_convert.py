"""YOLO and Pascal VOC to COCO: what is written in those formats comes back as it was, and what breaks them is named by file and line."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from photographs import photograph
from PIL import Image

from detkds.data import write_coco
from detkds.data.coco import check
from detkds.data.convert import converted, kind_of, voc, yolo
from detkds.errors import DatasetError

NAMES = ["cat", "dog", "Zürich"]
WIDTH, HEIGHT = 200, 100
Boxes = list[tuple[int, list[int]]]


def drawn(seed: int) -> Boxes:
    """Class and [x, y, width, height] of a few objects, in whole pixels."""
    chance = random.Random(seed)
    boxes = []
    for _ in range(chance.randint(1, 5)):
        width, height = chance.randint(2, 90), chance.randint(2, 60)
        boxes.append((chance.randrange(3), [chance.randint(0, WIDTH - width), chance.randint(0, HEIGHT - height), width, height]))
    return boxes


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), (9, 9, 9)).save(path)


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def yolo_line(category: int, box: list[int]) -> str:
    x, y, width, height = box
    return f"{category} {(x + width / 2) / WIDTH:.6f} {(y + height / 2) / HEIGHT:.6f} {width / WIDTH:.6f} {height / HEIGHT:.6f}"


LAYOUTS = {
    "ultralytics": ("images/{split}/{n}.png", "labels/{split}/{n}.txt", "images/{split}"),
    "roboflow": ("{split}/images/{n}.png", "{split}/labels/{n}.txt", "../{split}/images"),
    "beside": ("{split}/{n}.png", "{split}/{n}.txt", "/home/me/set/{split}"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("named", ["data.yaml", "classes.txt"])
@pytest.mark.parametrize("seed", range(3))
def test_yolo_comes_back_as_it_was(tmp_path: Path, layout: str, named: str, seed: int) -> None:
    picture_at, label_at, place = LAYOUTS[layout]
    right: dict[str, list[Boxes]] = {"train": [], "val": []}
    for split, out in (("train", "train"), ("valid", "val")):
        for n in range(4):
            boxes = drawn(10 * seed + n + 100 * (split == "valid"))
            picture(tmp_path / picture_at.format(split=split, n=n))
            text(tmp_path / label_at.format(split=split, n=n), *(yolo_line(*box) for box in boxes))
            right[out].append(boxes)
    if named == "classes.txt":
        text(tmp_path / "classes.txt", *NAMES)
    else:
        key = {"train": place.format(split="train"), "valid": [place.format(split="valid")]}
        (tmp_path / "data.yaml").write_text(yaml.safe_dump({"nc": 3, "names": dict(enumerate(NAMES)), **key}, allow_unicode=True))
    assert kind_of(tmp_path) == "yolo"
    found = converted(tmp_path)
    assert found.keys() == right.keys()
    for split, coco in found.items():
        assert_the_same(coco, right[split])
        write_coco(tmp_path / "out.json", coco)
        assert [fault.rule for fault in check(tmp_path / "out.json", tmp_path, look="pixels") if not fault.tolerated] == []


def assert_the_same(coco: dict[str, Any], right: list[Boxes]) -> None:
    names = {category["id"]: category["name"] for category in coco["categories"]}
    for image, boxes in zip(coco["images"], right, strict=True):
        own = [entry for entry in coco["annotations"] if entry["image_id"] == image["id"]]
        assert [names[entry["category_id"]] for entry in own] == [NAMES[category] for category, _ in boxes]
        assert [entry["bbox"] for entry in own] == [pytest.approx(box, abs=1e-3) for _, box in boxes]


def test_polygons_of_yolo_become_masks(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    text(tmp_path / "a.txt", "1 0.1 0.2 0.3 0.2 0.3 0.6")
    text(tmp_path / "classes.txt", *NAMES)
    (entry,) = yolo(tmp_path)["all"]["annotations"]
    assert entry["segmentation"] == [pytest.approx([20, 20, 60, 20, 60, 60])]
    assert (entry["bbox"], entry["area"]) == (pytest.approx([20, 20, 40, 40]), pytest.approx(800))


def test_images_without_labels_show_no_object(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / "images" / f"{name}.png")
    text(tmp_path / "labels" / "a.txt", yolo_line(0, [1, 2, 30, 40]))
    text(tmp_path / "labels" / "b.txt")
    text(tmp_path / "classes.txt", *NAMES)
    coco = yolo(tmp_path)["all"]
    assert (len(coco["images"]), len(coco["annotations"])) == (3, 1)


def test_pictures_turned_by_exif_are_upright_as_yolos_trainers_read_them(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photograph("JPEG", 6))  # stored as 60 x 40
    text(tmp_path / "a.txt", "0 0.5 0.5 0.5 0.5")
    text(tmp_path / "classes.txt", "cat")
    coco = yolo(tmp_path)["all"]
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (40, 60)
    assert coco["annotations"][0]["bbox"] == [10, 15, 20, 30]
    write_coco(tmp_path / "out.json", coco)
    assert check(tmp_path / "out.json", tmp_path) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 0.5 0.5 0.2", "must be class, centre x, centre y, width, height, or class and points of a polygon, got 4 numbers"),
        ("3 0.5 0.5 0.2 0.2", "the class must be a whole number from 0 to 2, got '3'"),
        ("cat 0.5 0.5 0.2 0.2", "must be numbers, got 'cat 0.5 0.5 0.2 0.2'"),
        ("0 100 50 20 20", "must have shares of width and height from 0 to 1, got '0 100 50 20 20'; pixels are not shares"),
        ("0 nan 0.5 0.2 0.2", "must have shares of width and height from 0 to 1"),
        ("0 0.5 0.5 0 0.2", "the box has no area within its image"),
    ],
)
def test_lines_that_break_yolo_are_named(tmp_path: Path, line: str, said: str) -> None:
    picture(tmp_path / "a.png")
    text(tmp_path / "a.txt", yolo_line(0, [1, 2, 3, 4]), "", line)
    text(tmp_path / "classes.txt", *NAMES)
    with pytest.raises(DatasetError) as caught:
        yolo(tmp_path)
    assert f"{tmp_path}/a.txt, line 3: {said}" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (": [", "data.yaml is not YAML: line 1, column 1"),
        ("train: images", "must name its classes"),
        ("names: [a, b]\nnc: 3", "nc is 3, but there are 2 names"),
        ("names: {1: a, 2: b}", "names must have the numbers 0 to 1, got [1, 2]"),
        ("names: [a]\ntrain: ../../etc", "data.yaml names '../../etc' for train, which is not below the folder"),
        ("[a]", "must hold names and splits"),
    ],
)
def test_a_data_yaml_at_fault_is_named(tmp_path: Path, settings: str, said: str) -> None:
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "data.yaml").write_text(settings)
    with pytest.raises(DatasetError) as caught:
        yolo(tmp_path)
    assert said in str(caught.value)


def voc_page(name: str, boxes: Boxes, first: int, *, difficult: int = 0) -> str:
    objects = "".join(
        f"<object><name>{NAMES[category]}</name><difficult>{difficult}</difficult><bndbox><xmin>{x + first}</xmin><ymin>{y + first}</ymin>"
        f"<xmax>{x + width}</xmax><ymax>{y + height}</ymax></bndbox></object>"
        for category, (x, y, width, height) in boxes
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}</filename>{size}{objects}</annotation>"


@pytest.mark.parametrize("layout", ["challenge", "roboflow"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_voc_comes_back_as_it_was(tmp_path: Path, layout: str, first: int, seed: int) -> None:
    right: dict[str, list[Boxes]] = {"train": [], "val": []}
    for split, out in (("train", "train"), ("val" if layout == "challenge" else "valid", "val")):
        for n in range(4):
            boxes = [*drawn(10 * seed + n), (n % 3, [0, 0, 9, 9])]
            pages, images = ("Annotations", "JPEGImages") if layout == "challenge" else (split, split)
            picture(tmp_path / images / f"{split}{n}.png")
            text(tmp_path / pages / f"{split}{n}.xml", voc_page(f"{split}{n}.png", boxes, first))
            right[out].append(boxes)
        if layout == "challenge":
            text(tmp_path / "ImageSets" / "Main" / f"{split}.txt", *(f"{split}{n}" for n in range(4)))
            text(tmp_path / "ImageSets" / "Main" / f"cat_{split}.txt", "train0 1")
    assert kind_of(tmp_path) == "voc"
    found = converted(tmp_path)
    assert found.keys() == right.keys()
    for split, coco in found.items():
        assert [category["name"] for category in coco["categories"]] == sorted(NAMES)
        assert_the_same(coco, right[split])
        write_coco(tmp_path / "out.json", coco)
        assert [fault.rule for fault in check(tmp_path / "out.json", tmp_path) if not fault.tolerated] == []


def test_difficult_objects_of_voc_become_crowds(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    text(tmp_path / "a.xml", voc_page("a.png", [(0, [4, 4, 20, 20])], 1, difficult=1))
    (entry,) = voc(tmp_path)["all"]["annotations"]
    assert (entry["iscrowd"], entry["bbox"]) == (1, [4, 4, 20, 20])


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<annotation", "is not XML"),
        ("<html/>", "must be an <annotation> of Pascal VOC, got <'html'>"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><annotation>&a;</annotation>', "declares a document type or entities"),
        (voc_page("b.png", [(0, [1, 2, 3, 4])], 1).replace("a.png", ""), "size is"),
        ("<annotation><object/></annotation>", "an object has no name"),
        ("<annotation><object><name>cat</name></object></annotation>", "has no bndbox of four numbers"),
        (voc_page("a.png", [(0, [1, 2, -9, 4])], 1), "not xmin <= xmax and ymin <= ymax"),
    ],
)
def test_pages_that_break_voc_are_named(tmp_path: Path, page: str, said: str) -> None:
    picture(tmp_path / "a.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "b.png")
    text(tmp_path / "a.xml", page)
    with pytest.raises(DatasetError) as caught:
        voc(tmp_path)
    assert f"{tmp_path}/a.xml: " in str(caught.value)
    assert said in str(caught.value)


def test_a_missing_image_of_voc_is_named(tmp_path: Path) -> None:
    text(tmp_path / "a.xml", voc_page("a.png", [(0, [1, 2, 3, 4])], 1))
    with pytest.raises(DatasetError, match=r"a\.xml: has no image 'a\.png' beside it"):
        voc(tmp_path)


def test_a_folder_of_neither_format_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert kind_of(tmp_path) is None
    with pytest.raises(DatasetError, match=r"must hold labels of YOLO .* or XML of Pascal VOC, but holds neither"):
        converted(tmp_path)
