"""Pictures with an EXIF orientation: whose frame the annotations are in, what is refused, and what `--fix` turns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photographs import SIZE, photograph
from pycocotools import mask as run_lengths

from detkds.data.checking.reading import read
from detkds.data.coco import inspect
from detkds.data.repair import Named, repair
from detkds.data.repair.turning import inverse, turn_array, turn_box, turn_keypoints, turn_mask, turn_polygon
from detkds.errors import DatasetError

Coco = dict[str, Any]

TURNS = range(2, 9)
FORMS = {"JPEG": ".jpg", "PNG": ".png", "MPO": ".jpg", "TIFF": ".tif", "WEBP": ".webp"}
BOXES = [[2.0, 3.0, 25.0, 10.0], [48.0, 2.0, 10.0, 8.0], [3.0, 28.0, 9.0, 10.0]]  # of the stored picture of 60 x 40


def stored() -> Coco:
    """Annotations as a tool makes them that ignores EXIF."""
    mask = np.zeros((40, 60), np.uint8)
    mask[3:13, 2:27] = 1
    code = run_lengths.encode(np.asfortranarray(mask))
    text = {"size": [40, 60], "counts": code["counts"].decode()}
    flat = mask.ravel(order="F")
    borders = np.flatnonzero(np.diff(flat)) + 1
    runs = {"size": [40, 60], "counts": np.diff(np.concatenate([[0], borders, [flat.size]])).tolist()}
    polygon = [[48.0, 2.0, 58.0, 2.0, 58.0, 10.0]]
    masks = [text, polygon, runs]
    return {
        "images": [{"id": 1, "file_name": "", "width": 60, "height": 40}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0, "segmentation": masks[n]}
            for n, box in enumerate(BOXES)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }


def put(folder: Path, coco: Coco, form: str, turn: int) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    coco["images"][0]["file_name"] = name = f"a{FORMS[form]}"
    (folder / "images" / name).write_bytes(photograph(form, turn, SIZE))
    path = folder / "coco.json"
    path.write_text(json.dumps(coco))
    return path


def upright(turn: int) -> Coco:
    """The same annotations in the upright frame, by hand of numpy: pixels are painted and turned as the picture is."""
    coco = stored()
    for entry in coco["annotations"]:
        x, y, width, height = map(int, entry["bbox"])
        canvas = np.zeros((40, 60), np.uint8)
        canvas[y : y + height, x : x + width] = 1
        turned = turn_array(canvas, turn)
        rows, columns = np.flatnonzero(turned.any(1)), np.flatnonzero(turned.any(0))
        entry["bbox"] = [float(columns[0]), float(rows[0]), float(np.ptp(columns) + 1), float(np.ptp(rows) + 1)]
        del entry["segmentation"]
    height, width = turned.shape
    coco["images"][0] |= {"width": width, "height": height}
    return coco


@pytest.mark.parametrize("form", [form for form in FORMS if form != "WEBP"])
@pytest.mark.parametrize("turn", range(5, 9))
def test_upright_annotations_are_sound_and_stored_ones_are_turned(tmp_path: Path, form: str, turn: int) -> None:
    right = upright(turn)
    assert inspect(put(tmp_path, right, form, turn), tmp_path / "images").findings.faults == []
    found = inspect(put(tmp_path, stored(), form, turn), tmp_path / "images")
    assert dict(found.findings.counts) == {"image.exif": 1}
    assert f"EXIF orientation {turn}" in found.findings.faults[0].detail
    mended = repair(found)
    check_turned(mended.document, right, tmp_path / "images", turn)
    assert [change.done for change in mended.changes] == ["annotations turned into the frame that detectors read"]
    (tmp_path / "fixed.json").write_text(json.dumps(mended.document))
    assert inspect(tmp_path / "fixed.json", tmp_path / "images").findings.faults == []


def check_turned(document: Coco, right: Coco, images: Path, turn: int) -> None:
    assert [entry["bbox"] for entry in document["annotations"]] == [entry["bbox"] for entry in right["annotations"]]
    height, width = read(images / document["images"][0]["file_name"]).shape[:2]
    assert (document["images"][0]["width"], document["images"][0]["height"]) == (width, height)
    before = stored()["annotations"]
    for entry, old in zip(document["annotations"], before, strict=True):
        assert type(entry["segmentation"]) is type(old["segmentation"])
        if isinstance(old["segmentation"], dict):
            assert type(entry["segmentation"]["counts"]) is type(old["segmentation"]["counts"])
            assert np.array_equal(painted(entry["segmentation"], (width, height)), turn_array(painted(old["segmentation"], SIZE), turn))
    x, y, wide, high = document["annotations"][1]["bbox"]
    corners = document["annotations"][1]["segmentation"][0]
    assert (min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2])) == (x, y, x + wide, y + high)


def painted(code: Coco, size: tuple[int, int]) -> Any:
    known = run_lengths.frPyObjects(code, size[1], size[0]) if isinstance(code["counts"], list) else code
    return run_lengths.decode(known)


@pytest.mark.parametrize("turn", range(5, 9))
def test_upright_boxes_with_stored_sizes_get_the_upright_size(tmp_path: Path, turn: int) -> None:
    right = upright(turn)
    wrong = json.loads(json.dumps(right))
    wrong["images"][0] |= {"width": 60, "height": 40}
    found = inspect(put(tmp_path, wrong, "JPEG", turn), tmp_path / "images")
    assert dict(found.findings.counts) == {"image.exif": 1}  # and no box is called outside of a frame that nobody reads
    mended = repair(found).document
    assert mended["annotations"] == right["annotations"]
    assert (mended["images"][0]["width"], mended["images"][0]["height"]) == (40, 60)


@pytest.mark.parametrize("turn", range(2, 5))
def test_frames_of_one_size_are_asked_about(tmp_path: Path, turn: int) -> None:
    path = put(tmp_path, stored(), "JPEG", turn)
    found = inspect(path, tmp_path / "images")
    assert dict(found.findings.counts) == {"image.exif": 1}
    with pytest.raises(DatasetError, match=f"EXIF orientation {turn}.*nothing shows their frame.*--frame stored or --frame upright"):
        repair(found)
    turned = repair(found, named=Named(frame="stored")).document
    check_turned(turned, upright(turn), tmp_path / "images", turn)
    kept = repair(found, named=Named(frame="upright")).document
    assert kept["annotations"] == found.document["annotations"]  # type: ignore[index]
    for document in (turned, kept):
        path.write_text(json.dumps(document))
        assert inspect(path, tmp_path / "images").findings.faults == []


def test_boxes_that_fit_both_frames_are_asked_about(tmp_path: Path) -> None:
    coco = stored()
    coco["annotations"] = coco["annotations"][:1]
    found = inspect(put(tmp_path, coco, "JPEG", 6), tmp_path / "images")
    with pytest.raises(DatasetError, match="--frame stored or --frame upright"):
        repair(found)


def test_the_rest_of_a_set_shows_the_frame_of_pictures_turned_by_half(tmp_path: Path) -> None:
    """Two pictures: the first has orientation 6 and declares a frame, the second orientation 3, whose frames have one size."""
    for first, faults in ((upright(6), set()), (stored(), {1, 2})):
        coco = stored()
        put(tmp_path, coco, "PNG", 3)
        half = coco["images"][0] | {"id": 2}
        first["annotations"] += [entry | {"id": entry["id"] + 10, "image_id": 2} for entry in coco["annotations"]]
        path = put(tmp_path, first, "JPEG", 6)
        first["images"].append(half)
        path.write_text(json.dumps(first))
        found = inspect(path, tmp_path / "images")
        assert {fault.id for fault in found.findings.faults} == faults
        mended = repair(found).document["annotations"]
        box = next(entry["bbox"] for entry in mended if entry["id"] == 11)
        assert box == (upright(3)["annotations"][1]["bbox"] if faults else BOXES[1])


@pytest.mark.parametrize("turn", TURNS)
def test_webp_is_read_as_stored(tmp_path: Path, turn: int) -> None:
    """OpenCV turns no WebP: the stored frame is the one that detectors read, and annotations of the upright one are turned back."""
    found = inspect(put(tmp_path, stored(), "WEBP", turn), tmp_path / "images")
    assert found.findings.sound == (turn >= 5)
    right = upright(turn)
    found = inspect(put(tmp_path, right, "WEBP", turn), tmp_path / "images")
    assert dict(found.findings.counts) == {"image.exif": 1}
    mended = repair(found, named=Named(frame="upright")).document
    assert [entry["bbox"] for entry in mended["annotations"]] == BOXES
    assert (mended["images"][0]["width"], mended["images"][0]["height"]) == (60, 40)


def test_pictures_without_annotations_only_get_their_size(tmp_path: Path) -> None:
    coco = stored()
    for entry in coco["annotations"]:
        entry["image_id"] = 2
    coco["images"].append({"id": 2, "file_name": "b.png", "width": 60, "height": 40})
    path = put(tmp_path, coco, "JPEG", 6)
    (tmp_path / "images" / "b.png").write_bytes(photograph("PNG"))
    mended = repair(inspect(path, tmp_path / "images"))
    assert [change.done for change in mended.changes] == ["annotations turned into the frame that detectors read"]
    assert mended.document["annotations"] == coco["annotations"]
    assert (mended.document["images"][0]["width"], mended.document["images"][0]["height"]) == (40, 60)


@pytest.mark.parametrize("turn", range(1, 9))
def test_turning_there_and_back_changes_nothing(turn: int) -> None:
    size = SIZE[::-1] if turn >= 5 else SIZE
    for entry in stored()["annotations"]:
        there = turn_box(entry["bbox"], SIZE, turn)
        assert turn_box(there, size, inverse(turn)) == entry["bbox"]
        mask = turn_mask(entry["segmentation"], SIZE, turn)
        assert turn_mask(mask, size, inverse(turn)) == entry["segmentation"]
    assert turn_polygon([0, 0, 60, 0, 60, 40], SIZE, 6) == [40, 0, 40, 60, 0, 60]


@pytest.mark.parametrize("turn", range(1, 9))
def test_keypoints_stay_at_the_same_place_of_the_picture(turn: int) -> None:
    """A marked pixel, found again in the turned picture; a keypoint names the pixel's middle."""
    picture = np.zeros((SIZE[1], SIZE[0]), dtype=np.uint8)
    picture[7, 11] = 1
    ((row, column),) = np.argwhere(turn_array(picture, turn))
    assert turn_keypoints([11.5, 7.5, 2, 0, 0, 0], SIZE, turn) == [column + 0.5, row + 0.5, 2, 0, 0, 0]
    size = SIZE[::-1] if turn >= 5 else SIZE
    assert turn_keypoints(turn_keypoints([11.5, 7.5, 1], SIZE, turn), size, inverse(turn)) == [11.5, 7.5, 1]
    assert turn_keypoints([1, 2], SIZE, turn) == [1, 2]


def test_keypoints_of_a_repaired_copy_are_turned(tmp_path: Path) -> None:
    coco = stored()
    coco["annotations"][0]["keypoints"] = [11.5, 7.5, 2]
    mended = repair(inspect(put(tmp_path, coco, "JPEG", 6), tmp_path / "images"), named=Named(frame="stored")).document
    assert mended["annotations"][0]["keypoints"] == [40 - 7.5, 11.5, 2]
