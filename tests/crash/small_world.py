"""A tiny pair on tiny pictures: all that a search on the real objective needs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from detkds.data.synthetic import generate
from detkds.pipeline import subset as subset_stage
from detkds.pipeline.settings import Pair, Schedule, Source

CONFIGS = Path(__file__).resolve().parents[2] / "examples" / "configs"


class SmallWorld(NamedTuple):
    """Configs, the teacher's checkpoint and the artifact of the subset stage, as paths."""

    teacher: str
    checkpoint: str
    student: str
    subset: str


def make(folder: Path) -> SmallWorld:
    """Draw the pictures, the subset, and train the teacher for an epoch."""
    from detkds.pipeline.teacher import run as train_teacher

    generate(folder / "data", teacher_images=4, train=12, test=2, size=(64, 64))
    source = Source(str(folder / "data"), "annotations/train.json", "train", "annotations/test.json", "test")
    subset_stage.run(source, fraction=0.5, val_fraction=0.5, seed=0, out=folder / "subset")
    teacher, student = (str(CONFIGS / f"demo_{role}.yaml") for role in ("teacher", "student"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKDS_HOME", str(folder / "home"))
        checkpoint = train_teacher(
            Pair("", "", teacher, inherit=False),
            Schedule(1, 2),
            root=str(folder / "data"),
            annotations="annotations/teacher.json",
            images="teacher",
            home=folder / "home",
            show=print,
        )
    return SmallWorld(teacher, str(checkpoint), student, str(folder / "subset"))
