"""`detkds data check`: what it prints, lists, writes and answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from detkds.cli import main

Coco = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a call of the command line left."""

    returncode: int
    stdout: str
    stderr: str


Call = Callable[..., Outcome]


@pytest.fixture
def data_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`detkds data check ARGUMENTS` in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("detkds.cli.options.console.width", 160)  # it was made when another test first asked for it

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["detkds", "data", "check", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Outcome(int(left.value.code or 0), said.out, said.err)

    return call


def coco(first: int = 1, images: int = 30) -> Coco:
    """Images of 100 x 50 pixels with one box each, small and large in turn, of class cat."""
    ids = range(first, first + images)
    sides = {id: 20 if id % 2 else 40 for id in ids}
    boxes = [{"id": id, "image_id": id, "category_id": 1, "bbox": [5, 5, side, side], "iscrowd": 0} for id, side in sides.items()]
    return {
        "images": [{"id": id, "file_name": f"{id}.png", "width": 100, "height": 50} for id in ids],
        "annotations": [{**box, "area": box["bbox"][2] ** 2} for box in boxes],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "[red]dog[/red]"}],
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data set's folder with train (images 1 to 30) and val (31 to 40); nothing else lies beside it."""
    for name, data in (("train", coco()), ("val", coco(31, 10))):
        (tmp_path / "set" / name).mkdir(parents=True)
        for image in data["images"]:
            Image.new("L", (100, 50), image["id"]).save(tmp_path / "set" / name / image["file_name"])
        write(tmp_path / "set" / "annotations" / f"{name}.json", data)
    return tmp_path


def write(path: Path, data: Coco) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def test_a_good_data_set_is_shown_in_numbers(data_check: Call, home: Path) -> None:
    result = data_check("set")
    assert (result.returncode, result.stderr) == (0, "")
    said = result.stdout.split("\n")
    assert "  30 images, 30 objects, 2 classes" in said
    assert f"  image files: {home}/set/train, all there with the size declared" in said
    assert f"  image files: {home}/set/val, all there with the size declared" in said
    assert "  classes without an object: 1 ([red]dog[/red])" in said
    assert said.count("  no faults") == 2
    row = next(line for line in said if "cat" in line)
    assert row.replace("│", " ").split() == ["cat", "15", "15", "0", "30"]
    assert sorted(path.name for path in home.iterdir()) == ["set"]


def test_faults_are_shown_listed_and_inert(data_check: Call, home: Path) -> None:
    broken = coco()
    broken["images"][0]["file_name"] = "\x1b[31m[red]../x\u202e.png"
    for annotation in broken["annotations"]:
        annotation["bbox"][2] = 200
    result = data_check(write(home / "set" / "annotations" / "train.json", broken))
    assert result.returncode == 65
    assert all(line.isprintable() for line in result.stdout.split("\n"))
    assert r"\x1b[31m[red]../x\u202e.png" in result.stdout
    assert sum(" annotation.box-outside " in line for line in result.stdout.split("\n")) == 19 + 1  # beside one image, and by rule
    assert "31 faults" in result.stdout
    assert "all listed in train.faults.jsonl" in result.stdout
    listed = [json.loads(line) for line in (home / "train.faults.jsonl").read_text().splitlines()]
    assert len(listed) == 31
    file = str(home / "set" / "annotations" / "train.json")
    found = "bbox [5, 5, 200, 20] in an image of 100 x 50"
    place = {"file": file, "kind": "annotation", "id": 1, "entry": 0, "rule": "annotation.box-outside"}
    assert listed[1] == {**place, "stops_a_run": True, "found": found}
    assert "--fix OUT" in result.stdout


def test_fix_writes_a_copy_that_passes(data_check: Call, home: Path) -> None:
    broken = coco()
    broken["annotations"][0]["bbox"][2] = 200
    broken["annotations"][1]["category_id"] = 7
    before = write(home / "set" / "annotations" / "train.json", broken).read_bytes()
    result = data_check("set", "--fix", "out", "--report", "all.jsonl")
    assert result.returncode == 0, result.stdout
    assert "1 x annotation.box-outside: clipped to its image" in result.stdout
    assert "1 x annotation.category-unknown: dropped" in result.stdout
    assert "1 x image.bare: dropped" in result.stdout
    assert "out/annotations/train.json with 29 of 30 images, 29 of 30 annotations, 2 of 2 categories" in result.stdout
    assert (home / "set" / "annotations" / "train.json").read_bytes() == before
    changes = [json.loads(line) for line in (home / "all.jsonl").read_text().splitlines() if "done" in line]
    assert [(change["rule"], change["id"]) for change in changes] == [
        ("annotation.box-outside", 1),
        ("annotation.category-unknown", 2),
        ("image.bare", 2),
    ]
    again = data_check("out/annotations/train.json", "--images", "set/train", "--open-images")
    assert again.returncode == 0
    assert data_check("out/annotations/val.json").returncode == 0
    assert json.loads((home / "out" / "annotations" / "val.json").read_text()) == coco(31, 10)


def test_what_is_changed_and_what_is_dropped_are_counted_apart(data_check: Call, home: Path) -> None:
    broken = coco()
    broken["annotations"][0]["bbox"][2] = 200
    broken["annotations"][1]["category_id"] = 7
    broken["annotations"].append({**broken["annotations"][2], "id": 99, "bbox": [0, 0, 9, 9], "category_id": None})
    write(home / "set" / "annotations" / "train.json", broken)
    said = data_check("set/annotations/train.json").stdout.splitlines()
    assert "  a repaired copy would hold 29 of 30 images, 29 of 31 annotations, 2 of 2 categories: " in "\n".join(said)
    assert "  1 image loses some annotations in it: their objects would be taught as background; correct the source if you can" in said
    said = data_check("set/annotations/train.json", "--fix", "out").stdout.splitlines()
    changed, dropped = said.index("  changed: 1"), said.index("  dropped: 3")
    assert "annotation.box-outside: clipped to its image" in said[changed + 1]
    assert "2 x annotation.category-unknown: dropped" in said[dropped + 1]


def test_a_repair_that_would_leave_nothing_is_not_offered(data_check: Call, home: Path) -> None:
    broken = coco()
    for annotation in broken["annotations"]:
        annotation["category_id"] = 7
    result = data_check(write(home / "set" / "annotations" / "train.json", broken))
    assert result.returncode == 65
    assert "--fix" not in result.stdout
    assert "no copy: " in result.stdout
    assert "nothing is left to keep" in result.stdout


def test_boxes_are_converted_where_they_are_named(data_check: Call, home: Path) -> None:
    broken = coco()
    for annotation in broken["annotations"]:
        annotation["bbox"] = [70, 5, 95, 30]
    write(home / "set" / "annotations" / "train.json", broken)
    refused = data_check("set/annotations/train.json", "--fix", "out")
    assert refused.returncode == 65
    assert "say what they are with --boxes sides, corners, centres" in refused.stdout
    assert not (home / "out").exists()
    assert data_check("set/annotations/train.json", "--fix", "out", "--boxes", "corners").returncode == 0
    assert json.loads((home / "out" / "train.json").read_text())["annotations"][0]["bbox"] == [70, 5, 25, 25]


def test_programs_get_one_json_object(data_check: Call, home: Path) -> None:
    broken = coco()
    broken["annotations"][0]["bbox"][2] = 200
    write(home / "set" / "annotations" / "train.json", broken)
    result = data_check("set", "--json")
    assert result.returncode == 65
    answer = json.loads(result.stdout)
    train, val = answer["files"]
    assert (answer["usable"], train["sound"], val["sound"]) == (False, False, True)
    assert train["counts"] == {"annotation.box-outside": 1}
    assert train["repair"]["kept"] == {"images": 30, "annotations": 30, "categories": 2}
    assert train["repair"]["dropped"] == []
    assert val["overview"]["objects"] == 10
    fixed = data_check("set", "--json", "--fix", "out")
    assert fixed.returncode == 0
    assert json.loads(fixed.stdout)["files"][0]["repair"]["written"] == "out/annotations/train.json"


def test_fix_says_so_where_nothing_can_be_kept(data_check: Call, home: Path) -> None:
    (home / "x.json").write_text("{")
    result = data_check("x.json", "--fix", "y.json")
    assert result.returncode == 65
    assert "no copy: there is nothing to repair" in result.stdout
    assert sorted(path.name for path in home.iterdir()) == ["set", "x.json"]


def test_what_two_sets_share_is_said(data_check: Call, home: Path) -> None:
    val = coco(31, 10)
    val["categories"].reverse()
    write(home / "set" / "annotations" / "val.json", val)
    write(home / "set" / "annotations" / "part.json", coco(1, 3))
    (home / "set" / "val" / "31.png").write_bytes((home / "set" / "train" / "5.png").read_bytes())
    result = data_check("set", "--hash")
    assert result.returncode == 0
    assert "3 of its images are also in set/annotations/part.json" in result.stdout
    assert "its classes are not those of set/annotations/part.json" in result.stdout
    assert "'31.png' has the bytes of image 5 of set/annotations/train.json" in result.stdout
    assert "1 warning" in result.stdout


def test_images_are_decoded_only_when_asked(data_check: Call, home: Path) -> None:
    path = home / "set" / "train" / "3.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:50] + b"\0\0\0\0" + whole[54:])  # within the coded pixels: header and end are as they should be
    assert data_check("set").returncode == 0
    result = data_check("set", "--open-images")
    assert result.returncode == 65
    assert "image.unreadable" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "--fix", "one.json"], "names one file, but set has 2 annotation files"),
        (["set", "--fix", "set"], "would overwrite set/annotations/train.json"),
        (["set", "--report", "set/annotations/val.json"], "another file of this call"),
        (["set", "--report", "set"], "is a folder"),
    ],
)
def test_nothing_that_is_there_is_overwritten(data_check: Call, home: Path, arguments: list[str], said: str) -> None:
    result = data_check(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr


def test_what_is_no_data_set_is_one_line(data_check: Call, home: Path) -> None:
    (home / "empty").mkdir()
    result = data_check("empty")
    assert result.returncode == 65
    assert result.stderr.startswith("detkds: empty has no annotation file")
    missing = data_check("none.json")
    assert missing.returncode == 65
    assert "file.missing" in missing.stdout
    assert "--fix" not in missing.stdout


def test_the_data_of_a_run_are_those_its_file_names(data_check: Call, shared_data: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    result = data_check(root / "examples" / "bccd.yaml")
    assert result.returncode == 0
    assert "205 images, 2,804 objects, 3 classes" in result.stdout
    assert "87 images, 1,137 objects, 3 classes" in result.stdout
