"""The demo: data made by code, a teacher trained on many pictures, both put into the bucket, then an ordinary run."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from detkds.data.synthetic import generate
from detkds.pipeline.addresses import config_address
from detkds.pipeline.local_store import ensure_bucket
from detkds.pipeline.run import Run
from detkds.pipeline.settings import Pair, Schedule
from detkds.processes import gpus, server
from detkds.storage.uri import ENDPOINT, open_store

TEACHER_EPOCHS = 10
TEACHER_PROCESSES = 2
"""Share its batches where there is no GPU, on any number of CPUs: the teacher is the same everywhere."""
TEACHER_IMAGES, TRAIN_IMAGES, TEST_IMAGES = 320, 40, 100
SIZE = (96, 96)


def demo(path: Path, home: Path, console: Console) -> None:
    """Make what the demo's run.yaml names where it does not exist yet, and run it."""
    home = home.resolve()
    embedded = not os.environ.get(ENDPOINT)
    with Run.open(path, home=home, embedded_s3=embedded, console=console) as run:
        ensure_bucket(run.config.store.bucket)
        server()  # imports what the teacher's processes need while the pictures are made
        data = _data(home, run.config.data.root, console)
        with run.followed():
            _teacher(run, data)
        run.execute()


def _data(home: Path, address: str, console: Console) -> Path:
    folder = home / "demo" / "data"
    if not folder.exists():
        console.print(f"making {TEACHER_IMAGES + TRAIN_IMAGES + TEST_IMAGES} pictures at {folder}", markup=False)
        generate(folder, teacher_images=TEACHER_IMAGES, train=TRAIN_IMAGES, test=TEST_IMAGES, size=SIZE)
    open_store(address).put_tree(folder, "")
    return folder


def _teacher(run: Run, data: Path) -> None:
    from detkds.pipeline.teacher import run as train_teacher

    teacher = run.config.teacher
    checkpoint = train_teacher(
        Pair("", "", config_address(teacher, run.home, trust=False), inherit=False),
        Schedule(TEACHER_EPOCHS),
        root=str(data),
        annotations="annotations/teacher.json",
        images="teacher",
        home=run.home,
        show=run.show,
        processes=0 if gpus() else TEACHER_PROCESSES,
    )
    bucket, _, name = str(teacher.checkpoint).rpartition("/")
    store = open_store(bucket)
    stored = store.stat(name)
    if stored is None or stored.size != checkpoint.stat().st_size:
        store.put_file(checkpoint, name)
