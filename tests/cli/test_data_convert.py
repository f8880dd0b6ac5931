"""`detkds data convert`: annotation files beside the images of a set in another format, ready for `data check`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from detkds.cli import main


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["detkds", "data", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        (tmp_path / "set" / split).mkdir(parents=True)
        Image.new("RGB", (100, 50), (3, 3, len(split))).save(tmp_path / "set" / split / "a.png")
        (tmp_path / "set" / split / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "set" / "classes.txt").write_text("cat\n")
    return tmp_path


def test_what_is_written_passes_the_check(labelled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "convert", "set") == 0
    said = capsys.readouterr().out
    assert "set/annotations/train.json: 1 images, 1 objects, 1 classes; image folder set" in said
    entry = json.loads((labelled / "set/annotations/test.json").read_text())
    assert (entry["images"][0]["file_name"], entry["annotations"][0]["bbox"]) == ("test/a.png", [40, 20, 20, 10])
    assert call(monkeypatch, "check", "set") == 0
    assert "all there with the size declared" in capsys.readouterr().out


def test_nothing_is_overwritten(labelled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "convert", "set") == 0
    assert call(monkeypatch, "convert", "set") == 2
    assert "set/annotations/train.json exists already" in capsys.readouterr().err


def test_a_label_at_fault_is_one_line_and_nothing_is_written(
    labelled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (labelled / "set/test/a.txt").write_text("0 40 20 20 10\n")
    assert call(monkeypatch, "convert", "set", "--from", "yolo") == 65
    assert "set/test/a.txt, line 1: must have shares of width and height from 0 to 1" in capsys.readouterr().err
    assert not (labelled / "set/annotations").exists()
