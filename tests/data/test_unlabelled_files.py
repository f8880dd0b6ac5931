"""Images without labels: their files are held to the rules of labelled ones, and how they are used has bounds."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detkds.data.unlabelled import Unlabelled, are_images, document, drawn
from detkds.errors import ConfigError, DatasetError

CATEGORIES = [{"id": 1, "name": "wide"}]


def photograph(path: Path, size: tuple[int, int] = (40, 30), **how: object) -> Path:
    pixels = np.random.default_rng(len(path.name)).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **how)
    return path


def test_the_document_has_every_image_with_its_size_and_no_annotation(tmp_path: Path) -> None:
    photograph(tmp_path / "a.png")
    photograph(tmp_path / "b.jpg", (20, 50))
    found = document(tmp_path, ["a.png", "b.jpg"], CATEGORIES)
    assert found == {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 40, "height": 30},
            {"id": 2, "file_name": "b.jpg", "width": 20, "height": 50},
        ],
        "annotations": [],
        "categories": CATEGORIES,
    }


def test_a_picture_that_its_exif_block_turns_has_the_size_that_detectors_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    path = photograph(tmp_path / "turned.jpg", (40, 30), exif=exif)
    height, width = cv2.imread(str(path)).shape[:2]
    (image,) = document(tmp_path, [path.name], CATEGORIES)["images"]
    assert (image["width"], image["height"]) == (width, height) == (30, 40)


def test_files_that_labelled_images_may_not_be_are_refused_by_name_and_rule(tmp_path: Path) -> None:
    photograph(tmp_path / "good.png")
    with zipfile.ZipFile(tmp_path / "zip.jpg", "w") as archive:
        archive.writestr("a", "b" * 100)
    whole = photograph(tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("zip.jpg", "cut.jpg", "empty.png"):
        with pytest.raises(DatasetError, match=rf"1 fault: '{name}': .* \[image\.unreadable\]\. Remove or repair"):
            document(tmp_path, ["good.png", name], CATEGORIES)
    with pytest.raises(DatasetError, match=r"3 faults: 'cut\.jpg'"):
        document(tmp_path, ["cut.jpg", "empty.png", "good.png", "zip.jpg"], CATEGORIES)


def test_a_link_out_of_the_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.png").symlink_to(photograph(tmp_path / "outside.png"))
    with pytest.raises(DatasetError, match=r"link\.png.*\[image\.file-name\]"):
        document(inside, ["link.png"], CATEGORIES)
    with pytest.raises(DatasetError, match=r"gone\.png.*\[image\.missing-file\]"):
        document(inside, ["gone.png"], CATEGORIES)


def test_pictures_of_16_bits_that_detectors_would_see_black_are_refused(tmp_path: Path) -> None:
    dark = np.full((30, 40), 900, np.uint16)
    cv2.imwrite(str(tmp_path / "dark.png"), dark)
    with pytest.raises(DatasetError, match=r"image\.depth"):
        document(tmp_path, ["dark.png"], CATEGORIES)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must hold images"):
        document(tmp_path, [], CATEGORIES)


def test_files_that_do_not_end_like_images_are_counted_and_left_out() -> None:
    assert are_images(["b/2.JPG", "a.png", "readme.txt", "labels.json"]) == (["a.png", "b/2.JPG"], 2)


def test_a_share_is_drawn_by_the_seed_alone_and_keeps_the_order() -> None:
    whole = {"images": [{"id": number} for number in range(20)], "annotations": []}
    first, again, other = (drawn(whole, 0.25, seed)["images"] for seed in (0, 0, 1))
    assert first == again != other
    assert len(first) == 5
    assert first == sorted(first, key=lambda image: image["id"])
    assert len(drawn(whole, 0.001, 0)["images"]) == 1
    assert drawn(whole, 1.0, 0) == whole


def test_the_share_says_how_many_images_stand_beside_the_labelled_ones() -> None:
    assert [Unlabelled(share).images(4) for share in (0.5, 0.8, 0.2, 0.01)] == [4, 16, 1, 1]


def test_the_weight_is_the_share_at_once_or_rises_to_it_over_half_the_training() -> None:
    assert [Unlabelled(0.4).weight(step, 10) for step in (0, 9)] == [0.4, 0.4]
    assert [Unlabelled(0.4, "ramp").weight(step, 10) for step in (0, 1, 5, 9)] == pytest.approx([0.0, 0.08, 0.4, 0.4])


def test_only_the_named_knowledges_use_them() -> None:
    assert [Unlabelled(knowledge="global,logits").uses(name) for name in ("global", "logits", "fgbg")] == [True, True, False]
    assert Unlabelled().uses("fgbg")


@pytest.mark.parametrize(
    ("how", "said"),
    [({"share": 1.0}, "share must be above 0"), ({"schedule": "late"}, "one of constant, ramp"), ({"min_score": 0.0}, "min_score must be")],
)
def test_values_out_of_range_are_refused(how: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Unlabelled(**how)  # type: ignore[arg-type]
