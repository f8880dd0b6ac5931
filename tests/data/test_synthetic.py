"""The demo's data set: sound, the same for a seed, whole or not there at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as run_lengths

from detkds.data import Scene, check, generate, synthetic
from detkds.data.scene import CLASSES, draw
from detkds.data.shapes import AREAS, SHAPES
from detkds.errors import ConfigError, DatasetError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")  # pycocotools

PARTS = {"teacher": 6, "train": 4, "test": 5}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "shapes"
    generate(folder, teacher_images=6, train=4, test=5, seed=1, size=(96, 64))
    return folder


def annotations(folder: Path, part: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "annotations" / f"{part}.json").read_text())
    return document


def pixels(folder: Path, part: str) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted((folder / part).iterdir())]


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_a_sound_data_set(demo: Path, part: str) -> None:
    assert check(demo / "annotations" / f"{part}.json", demo / part, look="pixels") == []
    coco = annotations(demo, part)
    assert len(coco["images"]) == len(list((demo / part).iterdir())) == PARTS[part]
    assert [category["name"] for category in coco["categories"]] == ["disc", "square", "triangle", "cross"]
    assert {(image["width"], image["height"]) for image in coco["images"]} == {(96, 64)}


def test_boxes_and_areas_are_those_of_the_masks(demo: Path) -> None:
    for annotation in annotations(demo, "teacher")["annotations"]:
        mask = decoded(annotation)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
        assert annotation["bbox"] == box
        assert annotation["area"] == mask.sum()


def test_masks_of_one_picture_do_not_overlap(demo: Path) -> None:
    coco = annotations(demo, "teacher")
    for image in coco["images"]:
        masks = [decoded(annotation) for annotation in coco["annotations"] if annotation["image_id"] == image["id"]]
        assert not masks or sum(mask.astype(int) for mask in masks).max() == 1


def decoded(annotation: dict[str, Any]) -> np.ndarray:
    """(H, W) bool."""
    mask: np.ndarray = np.array(run_lengths.decode(annotation["segmentation"])).astype(bool)
    return mask


@pytest.mark.parametrize("name", CLASSES)
def test_areas_of_shapes_are_what_the_table_says(name: str) -> None:
    side = np.linspace(-1.5, 1.5, 601)  # cells of 0.005
    x, y = np.meshgrid(side, side)
    assert (SHAPES[name](x, y) < 0).sum() * 0.005**2 == pytest.approx(AREAS[name], rel=0.02)


def test_the_same_seed_gives_the_same_files(demo: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", teacher_images=6, train=4, test=5, seed=1, size=(96, 64))
    for part in PARTS:
        name = Path("annotations", f"{part}.json")
        assert (tmp_path / "again" / name).read_bytes() == (demo / name).read_bytes()
        for one, other in zip(pixels(tmp_path / "again", part), pixels(demo, part), strict=True):
            assert (one == other).all()


def test_another_seed_and_another_part_give_other_pictures(demo: Path, tmp_path: Path) -> None:
    generate(tmp_path / "other", teacher_images=1, train=1, test=1, seed=2, size=(96, 64))
    first = [pixels(demo, part)[0] for part in PARTS] + [pixels(tmp_path / "other", part)[0] for part in PARTS]
    for place, one in enumerate(first):
        for other in first[place + 1 :]:
            assert (one != other).mean() > 0.5


def test_a_larger_set_begins_with_the_smaller(demo: Path, tmp_path: Path) -> None:
    generate(tmp_path / "more", teacher_images=1, train=6, test=1, seed=1, size=(96, 64))
    for one, other in zip(pixels(demo, "train"), pixels(tmp_path / "more", "train"), strict=False):
        assert (one == other).all()
    few, many = annotations(demo, "train")["annotations"], annotations(tmp_path / "more", "train")["annotations"]
    assert many[: len(few)] == few


def test_knobs_do_what_they_say() -> None:
    size, rng = (96, 64), np.random.default_rng
    assert all(draw(Scene(empty=1.0), size, rng(seed))[1] == [] for seed in range(5))
    for seed in range(5):
        _, pieces = draw(Scene(objects=(3, 3), radius_px=(8, 10), empty=0.0, visible=0.8), size, rng(seed))
        assert 1 <= len(pieces) <= 3
        assert all(piece.mask.sum() >= 0.8 * piece.area_px2 for piece in pieces)
    quiet, _ = draw(Scene(noise=0.0), size, rng(0))
    loud, _ = draw(Scene(noise=0.2), size, rng(0))
    assert np.abs(np.diff(loud.astype(int), axis=0)).mean() > 3 * np.abs(np.diff(quiet.astype(int), axis=0)).mean()


def test_nothing_is_left_of_a_set_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = 0

    def failing(*args: Any) -> Any:
        nonlocal drawn
        drawn += 1
        if drawn > 2:
            raise OSError("the disk is full")
        return draw(*args)

    monkeypatch.setattr(synthetic, "draw", failing)
    with pytest.raises(OSError, match="full"):
        generate(tmp_path / "demo", teacher_images=4, train=1, test=1, size=(64, 64))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DatasetError, match="not empty"):
        generate(tmp_path, teacher_images=1, train=1, test=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    generate(tmp_path / "demo", teacher_images=1, train=1, test=1, size=(64, 64))
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["annotations", "teacher", "test", "train"]


@pytest.mark.parametrize("wrong", [{"train": 0}, {"test": -1}, {"teacher_images": 0}, {"seed": -1}, {"size": (160, 16)}])
def test_numbers_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="got"):
        generate(tmp_path / "demo", **wrong)
    assert list(tmp_path.iterdir()) == []
