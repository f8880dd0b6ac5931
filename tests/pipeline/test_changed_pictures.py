"""Nothing is answered from before where a picture changed and its name, length and annotations did not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from detkds.pipeline import run_config
from detkds.pipeline import subset as subset_stage
from detkds.pipeline.addresses import data_version
from detkds.pipeline.settings import Pair, Schedule, Source
from detkds.pipeline.teacher import run as train_teacher
from detkds.storage.artifacts import verify

CONFIGS = Path(__file__).resolve().parents[2] / "examples" / "configs"


@pytest.fixture
def own(pictures: Path, tmp_path: Path) -> Path:
    """A copy of the pictures that may be changed."""
    return shutil.copytree(pictures, tmp_path / "own")


def repaint(path: Path) -> None:
    """Other pixels in a file of the same length, with the old time."""
    before = path.stat()
    with Image.open(path) as picture:
        size = picture.size
    Image.new("RGB", size, (9, 9, 9)).save(path)
    path.write_bytes(path.read_bytes().ljust(before.st_size, b"\0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def test_the_teacher_is_trained_anew(own: Path, tmp_path: Path) -> None:
    pair = Pair("", "", str(CONFIGS / "demo_teacher.yaml"), inherit=False)

    def teacher() -> Path:
        return train_teacher(
            pair,
            Schedule(epochs=1, batch_size=4),
            root=str(own),
            annotations="annotations/teacher.json",
            images="teacher",
            home=tmp_path,
            show=print,
        )

    first = teacher()
    assert teacher() == first
    repaint(next((own / "teacher").iterdir()))
    assert teacher() != first


def test_the_subset_and_with_it_the_baseline_are_others(own: Path, tmp_path: Path) -> None:
    source = Source(str(own), "annotations/train.json", "train", "annotations/test.json", "test")

    def digest(name: str) -> str:
        subset_stage.run(source, fraction=0.5, val_fraction=0.5, seed=0, out=tmp_path / name)
        return verify(tmp_path / name).digest

    first = digest("first")
    assert verify(tmp_path / "first").meta["states"]["train"]
    repaint(next((own / "train").iterdir()))
    digest("second")
    assert verify(tmp_path / "second").meta["states"]["train"] != verify(tmp_path / "first").meta["states"]["train"]
    assert verify(tmp_path / "second").digest != first


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_pipelines_cache_sees_it(own: Path, tmp_path: Path, part: str) -> None:
    (tmp_path / "run.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "changed",
                "data": {
                    "root": "own",
                    "train": {"annotations": "annotations/train.json", "images": "train"},
                    "test": {"annotations": "annotations/test.json", "images": "test"},
                },
                "teacher": {"config": str(CONFIGS / "demo_teacher.yaml"), "checkpoint": "s3://detkds/teacher.pth"},
                "student": {"config": str(CONFIGS / "demo_student.yaml")},
            }
        )
    )
    config = run_config.load(tmp_path / "run.yaml")
    before = data_version(config, "")
    assert data_version(config, "") == before
    repaint(next((own / part).iterdir()))
    assert data_version(config, "") != before
