"""COCO dicts as files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from subset_data import made

from detkds.data import write_coco, writing


def test_a_data_set_is_read_back_as_it_was_on_one_ascii_or_utf8_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHUNK", 3)
    coco = made({image: [(1, 10.0)] * image for image in range(5)}, crowd=(3,)) | {"info": {"by": "Zoë", "none": None}, "empty": []}
    path = tmp_path / "coco.json"
    write_coco(path, coco)
    content = path.read_text()
    assert json.dumps(json.loads(content)) == json.dumps(coco)
    assert "\n" not in content
    assert ": " not in content.replace("http://", "")


def test_numbers_and_text_beyond_strict_json_survive(tmp_path: Path) -> None:
    odd = {"huge": 10**40, "half": "\ud800", "bad": [math.nan, math.inf, -math.inf], "small": 5e-324, "minus": -0.0}
    path = tmp_path / "odd.json"
    write_coco(path, odd)
    read = json.loads(path.read_bytes())
    assert (read["huge"], read["half"], read["small"]) == (10**40, "\ud800", 5e-324)
    assert math.isnan(read["bad"][0])
    assert read["bad"][1:] == [math.inf, -math.inf]
    assert math.copysign(1, read["minus"]) == -1


def test_the_same_dict_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_coco(tmp_path / name, made({1: [(1, 10.0)], 2: []}))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_empty_dict(tmp_path: Path) -> None:
    write_coco(tmp_path / "empty.json", {})
    assert json.loads((tmp_path / "empty.json").read_text()) == {}
