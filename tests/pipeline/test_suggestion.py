"""`detkds init`: what is seen in a folder, and the run.yaml that is suggested for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from detkds.cli.app import app
from detkds.data.layout import look_at
from detkds.errors import ConfigError, DatasetError
from detkds.pipeline import run_config
from detkds.pipeline.suggestion import run_name, shares, suggest


def write_split(
    path: Path, images: Path, count: int, *, classes: tuple[str, ...] = ("cat", "dog"), masks: bool = False, name: str = ""
) -> None:
    """A COCO file with one object per image, and the images, called after the file or `name`."""
    images.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [{"id": number, "file_name": f"{name or path.stem}_{number}.png", "width": 32, "height": 24} for number in range(count)]
    for entry in entries:
        Image.new("RGB", (32, 24)).save(images / str(entry["file_name"]))
    mask = {"segmentation": [[2, 2, 12, 2, 12, 12]]} if masks else {}
    objects = [
        {"id": number, "image_id": number, "category_id": 1, "bbox": [2, 2, 10, 10], "area": 100, "iscrowd": 0, **mask}
        for number in range(count)
    ]
    categories = [{"id": number + 1, "name": name} for number, name in enumerate(classes)]
    path.write_text(json.dumps({"images": entries, "annotations": objects, "categories": categories}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As many tools export it: annotations apart from the images."""
    root = tmp_path / "My Data"
    write_split(root / "annotations" / "instances_train.json", root / "images" / "train", 50)
    write_split(root / "annotations" / "instances_val.json", root / "images" / "val", 6)
    return root


def test_the_suggested_run_is_a_valid_run_yaml(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.yaml"
    result = CliRunner().invoke(app, ["init", str(folder), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    config = run_config.load(out)
    assert config.name == "my-data"
    assert config.data.train.annotations == "annotations/instances_train.json"
    assert config.data.train.images == "images/train"
    assert config.data.test.images == "images/val"
    assert config.teacher.config == "retinanet/retinanet_r101_fpn_2x_coco"
    # 40 of 50 images would leave none for search-val: at most .6 and .3 are taken.
    assert (config.search.subset, config.search.search_val) == (0.6, 0.3)
    assert "train: annotations/instances_train.json, 50 images of mostly 32 × 24 pixels, 50 objects" in result.output


def test_a_run_yaml_that_is_there_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.yaml"
    out.write_text("mine")
    with pytest.raises(ConfigError, match="exists and is not overwritten"):
        CliRunner().invoke(app, ["init", str(folder), "--out", str(out)], catch_exceptions=False)
    assert out.read_text() == "mine"


@pytest.mark.parametrize("name", ["a: b #c", "Blut Bilder ü", "2024", "it's", "on"])
def test_a_folder_of_any_name_gives_a_run_yaml_that_is_read(name: str, tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_split(tmp_path / name / f"{split}.json", tmp_path / name / split, 3)
    out = tmp_path / "run.yaml"
    out.write_text(suggest(tmp_path / name).text)
    config = run_config.load(out)
    assert Path(config.data.root) == tmp_path / name
    assert config.name == run_name(name)


def test_a_name_that_no_run_can_have_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"--name must be at most 62 small letters.*got 'My Run'; my-run would do"):
        suggest(folder, "My Run")


def test_data_with_masks_gets_a_pair_with_masks(tmp_path: Path) -> None:
    # As Roboflow exports it: the annotation file beside its images.
    for split in ("train", "test"):
        write_split(tmp_path / split / "_annotations.coco.json", tmp_path / split, 4, masks=True)
    text = suggest(tmp_path).text
    assert "pair: mask-rcnn-r50-cascade-mask-rcnn-x101" in text
    assert 'train: {annotations: "train/_annotations.coco.json", images: "train"}' in text


def test_the_paper_shares_stay_where_there_are_enough_images() -> None:
    assert shares(118_287) == (0.2, 0.04)
    assert shares(205) == (0.2, 0.2)  # 40 / 205 = .195, rounded up to a whole percent


def test_val_is_the_test_set_only_where_there_is_no_test(tmp_path: Path) -> None:
    for split, count in (("train", 9), ("val", 5), ("test", 3)):
        write_split(tmp_path / f"{split}.json", tmp_path / "images", count)
    assert 'test: {annotations: "test.json"' in suggest(tmp_path).text


def test_one_split_alone_is_refused_with_what_was_found(tmp_path: Path) -> None:
    write_split(tmp_path / "train.json", tmp_path / "images", 3)
    with pytest.raises(DatasetError, match=r"of test images \(`test` or `val`\), but holds train.json \(3 images\)"):
        suggest(tmp_path)


def test_splits_with_other_classes_are_refused(tmp_path: Path) -> None:
    write_split(tmp_path / "train.json", tmp_path / "images", 3)
    write_split(tmp_path / "test.json", tmp_path / "images", 3, classes=("cat", "bird"))
    with pytest.raises(DatasetError, match="only one has bird, dog"):
        suggest(tmp_path)


def test_missing_images_are_named(tmp_path: Path) -> None:
    write_split(tmp_path / "train.json", tmp_path / "images", 3)
    for picture in (tmp_path / "images").iterdir():
        picture.unlink()
    with pytest.raises(DatasetError, match=r"none of its images is below .*, for example train_0.png"):
        suggest(tmp_path)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"data.yaml": "names: [cat]", "labels/train/1.txt": "0 .5 .5 .1 .1"}, "yolo"),
        ({"Annotations/1.xml": "<annotation/>", "JPEGImages/1.jpg": ""}, "voc"),
        ({"results.json": '[{"image_id": 1}]', "Annotations/1.xml": "<annotation/>"}, "voc"),
    ],
)
def test_other_formats_are_recognised_and_their_conversion_named(files: dict[str, str], found: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert look_at(tmp_path).format == found
    with pytest.raises(DatasetError, match=f"{found.upper()} annotations; convert them first: detkds data convert"):
        suggest(tmp_path)


def test_a_folder_without_annotations_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"looked for COCO .* YOLO .* and Pascal VOC"):
        suggest(tmp_path)
    with pytest.raises(DatasetError, match="must be a folder"):
        suggest(tmp_path / "absent")


@pytest.mark.parametrize(("file", "content"), [("VOCdevkit/VOC2007/Annotations/1.xml", "<annotation/>"), ("set/data.yaml", "names: [cat]")])
def test_a_folder_around_the_data_set_names_the_one_inside(file: str, content: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(content)
    inside = (tmp_path / file).parent if file.endswith(".yaml") else (tmp_path / file).parents[1]
    with pytest.raises(DatasetError, match=f"{inside} does; name that folder instead"):
        suggest(tmp_path)


def test_splits_that_number_their_images_alike_have_folders_of_their_own(tmp_path: Path) -> None:
    for split in ("more", "test", "train"):
        write_split(tmp_path / "annotations" / f"instances_{split}.json", tmp_path / split / "images", 3, name="image")
    text = suggest(tmp_path).text
    assert 'train: {annotations: "annotations/instances_train.json", images: "train/images"}' in text
    assert 'test: {annotations: "annotations/instances_test.json", images: "test/images"}' in text


def test_a_folder_of_images_whose_name_begins_with_a_dot_keeps_it(tmp_path: Path) -> None:
    write_split(tmp_path / "train.json", tmp_path / ".images", 3)
    write_split(tmp_path / "test.json", tmp_path / ".images", 3)
    assert 'train: {annotations: "train.json", images: ".images"}' in suggest(tmp_path).text


def test_folders_with_equal_names_of_images_are_not_guessed(tmp_path: Path) -> None:
    write_split(tmp_path / "annotations" / "train.json", tmp_path / "a", 3, name="image")
    write_split(tmp_path / "annotations" / "train.json", tmp_path / "b", 3, name="image")
    with pytest.raises(DatasetError, match=r"/a, .*/b each have its images, such as image_0.png, .* name the folder of the images like"):
        suggest(tmp_path)


@pytest.mark.parametrize(("text", "name"), [("My Data", "my-data"), ("__", "run"), ("a" * 90, "a" * 62), ("Ünder_2", "nder-2")])
def test_run_names(text: str, name: str) -> None:
    assert run_name(text) == name


def test_the_blood_cells(shared_data: Path) -> None:
    text = suggest(shared_data / "bccd").text
    assert "name: bccd" in text
    assert 'train: {annotations: "annotations/train.json", images: "train"}' in text
    assert "subset: 0.2 " in text


def test_a_converted_yolo_folder_gets_its_run_yaml(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("val", 3)):
        for number in range(count):
            for kind in ("images", "labels"):
                (tmp_path / kind / split).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 24), (number, 9, 9)).save(tmp_path / "images" / split / f"{number}.png")
            (tmp_path / "labels" / split / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cell]\n")
    assert CliRunner().invoke(app, ["data", "convert", str(tmp_path)], catch_exceptions=False).exit_code == 0
    text = suggest(tmp_path).text
    assert 'train: {annotations: "annotations/train.json", images: "' in text
    out = tmp_path / "run.yaml"
    out.write_text(text)
    assert run_config.load(out).data.test.annotations == "annotations/val.json"
