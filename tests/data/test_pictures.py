"""What image files are refused for, and that ordinary ones are not decoded for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from photographs import SIZE, deep, kinds, photograph, saved
from PIL import Image

from detkds.data.checking import reading
from detkds.data.checking.pictures import examined
from detkds.data.coco import check, inspect
from detkds.data.repair import repair
from detkds.errors import DatasetError

ORDINARY = {name: data for name, data in kinds().items() if "TIFF" not in name}


def coco(count: int) -> dict[str, Any]:
    images = [{"id": n, "file_name": f"{n}.png", "width": 60, "height": 40} for n in range(count)]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0} for n in range(count)]
    return {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(reading, "_decoded", refuse)
    monkeypatch.setattr(Image.Image, "load", refuse)


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("name", ORDINARY)
def test_whole_files_are_judged_by_their_headers(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(ORDINARY[name])
    found = examined(tmp_path / "a", None, "headers")
    assert found.breaches == ()
    assert found.picture is not None


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_files_cut_off_are_found_without_decoding_all(tmp_path: Path, form: str) -> None:
    whole = saved(Image.effect_noise((200, 100), 80).convert("RGB"), form)
    for length in (len(whole) - 15, len(whole) // 2):
        (tmp_path / "a").write_bytes(whole[:length])
        assert [rule for rule, _ in examined(tmp_path / "a", (200, 100), "headers").breaches] == ["image.unreadable"], length


def test_what_follows_the_end_is_no_fault(tmp_path: Path) -> None:
    """Cameras append films and depth maps to their JPEG files."""
    (tmp_path / "a").write_bytes(photograph("JPEG") + bytes(100_000))
    assert examined(tmp_path / "a", SIZE, "headers").breaches == ()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("highest", [255, 1023, 4095, 16_383, 16_384, 65_535])
def test_twelve_bits_in_sixteen_are_refused(tmp_path: Path, form: str, highest: int) -> None:
    sound = highest >= 16_384
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(deep(form, highest if n else highest // 2))
    (tmp_path / "coco.json").write_text(json.dumps(coco(3)))
    found = inspect(tmp_path / "coco.json", tmp_path)
    assert found.findings.counts == ({} if sound else {"image.depth": 3})
    if not sound:
        assert f"is above {highest}; detectors would see 0 to {highest // 256} of 255" in found.findings.faults[0].detail
        with pytest.raises(DatasetError, match="scale the values to 0 to 65535, or write 8 bits per sample"):
            repair(found)


def test_dark_pictures_among_bright_ones_of_sixteen_bits_are_sound(tmp_path: Path) -> None:
    for n, highest in enumerate((300, 65_000, 2000)):
        (tmp_path / f"{n}.png").write_bytes(deep("PNG", highest))
    (tmp_path / "coco.json").write_text(json.dumps(coco(3)))
    assert check(tmp_path / "coco.json", tmp_path) == []


FOREIGN = {
    b"GIF89a" + bytes(60): "it is a GIF; write it as PNG or JPEG",
    b"\0\0\0\x1cftypheic" + bytes(60): "it is an HEIC image; write it as PNG or JPEG",
    b"\0\0\0\x1cftypavif" + bytes(60): "it is an AVIF image; write it as PNG or JPEG",
    b"<!DOCTYPE html><html>": "it is a web page; download the file again",
    b"version https://git-lfs.github.com/spec/v1\n": "it is a pointer of Git LFS; fetch the file with `git lfs pull`",
    b"PK\x03\x04" + bytes(60): "it is a ZIP archive; unpack it",
    b"": "it is empty; fetch the file again",
}


@pytest.mark.parametrize("data", FOREIGN)
def test_files_of_other_kinds_are_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    assert examined(tmp_path / "a.png", None, "headers").breaches == (("image.unreadable", f"'a.png': {FOREIGN[data]}"),)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04" + bytes(600), "it is a ZIP archive; unpack it"),
        (b"\x1f\x8b\x08" + bytes(600), "it is compressed by gzip; unpack it"),
        (bytes(257) + b"ustar" + bytes(600), "it is a tar archive; unpack it"),
        (b"<annotation><filename>", "it is XML of Pascal VOC; convert it with `detkds data convert`"),
        (b"%PDF-1.7", "it is a PDF document; give the file itself"),
        (b"\xff\xd8\xff\xe0", "it is a JPEG image; give the annotation file"),
        (b"\x80\x04\x95", "it is a pickle of Python; export it as JSON"),
    ],
)
def test_what_bears_the_name_of_json_and_is_none_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "annotations.json").write_bytes(data)
    assert [(fault.rule, fault.detail) for fault in check(tmp_path / "annotations.json")] == [("file.not-json", said)]
