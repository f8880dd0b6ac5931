"""A whole small world for the stages: pictures made by code, a teacher of one epoch, the demo's detectors."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkds.data.synthetic import generate
from detkds.pipeline import subset as subset_stage
from detkds.pipeline.settings import Pair, Schedule, SearchPlan, Source
from detkds.pipeline.teacher import run as train_teacher

CONFIGS = Path(__file__).resolve().parents[2] / "examples" / "configs"
SIZE = (64, 64)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETKDS_HOME", str(home))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "pictures"
    generate(folder, teacher_images=8, train=12, test=4, seed=1, size=SIZE)
    return folder


@pytest.fixture(scope="session")
def source(pictures: Path) -> Source:
    return Source(str(pictures), "annotations/train.json", "train", "annotations/test.json", "test")


@pytest.fixture(scope="session")
def schedule() -> Schedule:
    return Schedule(epochs=1, batch_size=2)


@pytest.fixture(scope="session")
def pair(pictures: Path, home: Path, schedule: Schedule) -> Pair:
    teacher, student = (str(CONFIGS / f"demo_{role}.yaml") for role in ("teacher", "student"))
    untaught = Pair("", "", teacher, inherit=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKDS_HOME", str(home))
        checkpoint = train_teacher(
            untaught, schedule, root=str(pictures), annotations="annotations/teacher.json", images="teacher", home=home, show=print
        )
    return Pair(teacher, str(checkpoint), student)


@pytest.fixture(scope="session")
def subset(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artifacts") / "subset"
    subset_stage.run(source, fraction=0.5, val_fraction=0.5, seed=0, out=out)
    return out


@pytest.fixture(scope="session")
def plan() -> SearchPlan:
    return SearchPlan("paper", "paper", "evolution", population=2, iterations=1, sample_ratio=0.9, top_k=1)
