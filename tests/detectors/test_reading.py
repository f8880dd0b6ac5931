"""`detkds data check` judges the array that detectors are given: its reader is held against mmcv's, file by file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from detkds.data.checking.pictures import examined
from detkds.data.checking.reading import read
from detkds.data.repair.turning import turn_array
from detkds.detectors.training.batches import _require_readable
from detkds.errors import ConfigError

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from photographs import kinds, quarters, saved

FILES = kinds()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("look", ["headers", "pixels"])
def test_the_array_is_mmcvs_and_the_header_says_its_size(tmp_path: Path, name: str, look: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(FILES[name])
    given = LoadImageFromFile().transform({"img_path": str(path)})["img"]
    assert np.array_equal(read(path), given)
    picture = examined(path, None, look).picture  # type: ignore[arg-type]
    assert picture is not None
    assert picture.size == given.shape[1::-1]


TURNED = [name for name in FILES if name.split()[0] in ("JPEG", "PNG", "MPO", "TIFF", "WEBP", "late", "block")]


@pytest.mark.parametrize("name", TURNED)
def test_what_the_header_says_of_the_turn_is_what_mmcv_does(tmp_path: Path, name: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(FILES[name])
    picture = examined(path, None, "headers").picture
    assert picture is not None
    stored = np.asarray(quarters())[:, :, ::-1]
    expected = turn_array(stored, picture.orientation if picture.turned else 1)
    given = LoadImageFromFile().transform({"img_path": str(path)})["img"]
    assert given.shape == expected.shape
    assert abs(given.astype(int) - expected).mean() < 12  # JPEG


def test_what_mmcv_cannot_read_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    path.write_bytes(saved(Image.new("F", (20, 10), 0.5), "TIFF"))
    with pytest.raises(AssertionError):
        LoadImageFromFile().transform({"img_path": str(path)})
    ((rule, detail),) = examined(path, (20, 10), "headers").breaches
    assert rule == "image.unreadable"
    assert "decimal numbers of 32 bits; write it with 8 bits per sample" in detail


@pytest.mark.parametrize(
    ("option", "value"), [("color_type", "unchanged"), ("color_type", "color_ignore_orientation"), ("imdecode_backend", "pillow")]
)
def test_configs_that_read_images_otherwise_are_refused(option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"LoadImageFromFile has {option} '{value}'.*leave {option} out"):
        _require_readable({"type": "LoadImageFromFile", option: value})
    _require_readable({"type": "LoadImageFromFile", "backend_args": None, "imdecode_backend": "cv2"})
