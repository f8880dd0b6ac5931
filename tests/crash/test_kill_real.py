"""A search on the real objective, killed with SIGKILL and started again, ends as one that was left alone: byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detkds.data.synthetic import generate
from detkds.stages import subset as subset_stage
from detkds.stages.plans import Pair, Schedule, Source
from detkds.stages.teacher import run as train_teacher

CONFIGS = Path(__file__).resolve().parents[2] / "examples" / "configs"
SEARCH = """
import sys
from pathlib import Path
from detkds.stages import evolve
from detkds.stages.plans import Pair, Schedule, SearchPlan

teacher, checkpoint, student, subset, out = sys.argv[1:]
plan = SearchPlan("paper", "paper", "evolution", population=2, iterations=2, sample_ratio=0.9, top_k=1)
evolve.run("global", Pair(teacher, checkpoint, student), plan, Schedule(1, 2), searched="global", subset=Path(subset), out=Path(out))
"""


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("world")
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
    return [teacher, str(checkpoint), student, str(folder / "subset")]


def search(arguments: list[str], home: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DETKDS_HOME": str(home)}
    command = [sys.executable, "-W", "ignore", "-c", SEARCH, *arguments, str(home / "study")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def records(home: Path) -> int:
    (journal,) = list(home.glob("work/evolve-global-*/journal.jsonl")) or [None]
    return len(journal.read_bytes().splitlines()) if journal else 0


def test_a_killed_search_ends_like_one_left_alone(arguments: list[str], tmp_path: Path) -> None:
    assert search(arguments, tmp_path / "alone").wait(timeout=300) == 0
    total = records(tmp_path / "alone")

    killed = tmp_path / "killed"
    for moment in (2, 5, 9):  # in the middle of a training: a start without an end
        process = search(arguments, killed)
        while records(killed) < moment and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        assert moment <= records(killed) < total
    assert search(arguments, killed).wait(timeout=300) == 0

    for name in ("journal.jsonl", "recipe.json"):
        assert (killed / "study" / name).read_bytes() == (tmp_path / "alone" / "study" / name).read_bytes()
