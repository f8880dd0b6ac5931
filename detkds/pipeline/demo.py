"""The demo: data made by code, a teacher trained on many pictures, both put into the bucket, then an ordinary run."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from detkds.data.synthetic import generate
from detkds.pipeline import run as launch
from detkds.pipeline import run_config
from detkds.pipeline.run_config import Detector
from detkds.pipeline.settings import Pair, Schedule
from detkds.storage.uri import open_store

TEACHER_EPOCHS = 14
TEACHER_IMAGES, TRAIN_IMAGES, TEST_IMAGES = 320, 40, 100
SIZE = (160, 128)


def demo(path: Path, home: Path, console: Console) -> None:
    """Make what the demo's run.yaml names where it is not there yet, and run it."""
    home = home.resolve()
    config = run_config.load(path)
    with launch.store(home, console) as environment:
        launch.use(home, environment)
        launch.ensure_bucket(config.store.bucket)
        data = _data(home, config.data.root, console)
        _teacher(home, config.teacher, data, console)
        launch.launch(path, home=home, trust=False, console=console)


def _data(home: Path, address: str, console: Console) -> Path:
    folder = home / "demo" / "data"
    if not folder.exists():
        console.print(f"making {TEACHER_IMAGES + TRAIN_IMAGES + TEST_IMAGES} pictures at {folder}", markup=False)
        generate(folder, teacher_images=TEACHER_IMAGES, train=TRAIN_IMAGES, test=TEST_IMAGES, size=SIZE)
    open_store(address).put_tree(folder, "")
    return folder


def _teacher(home: Path, teacher: Detector, data: Path, console: Console) -> None:
    from detkds.pipeline.teacher import run as train_teacher

    checkpoint = train_teacher(
        Pair("", "", launch.config_address(teacher, home, trust=False), inherit=False),
        Schedule(TEACHER_EPOCHS),
        root=str(data),
        annotations="annotations/teacher.json",
        images="teacher",
        home=home,
        show=launch.shown(console),
    )
    bucket, _, name = str(teacher.checkpoint).rpartition("/")
    store = open_store(bucket)
    if not store.exists(name) or store.stat(name).size != checkpoint.stat().st_size:  # type: ignore[union-attr]
        store.put_file(checkpoint, name)
