"""A search on the real objective, killed with SIGKILL and started again, ends as one that was left alone: byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_world import make

SEARCH = """
import sys
from pathlib import Path
from detkds.pipeline import evolve
from detkds.pipeline.settings import Pair, Schedule, SearchPlan

teacher, checkpoint, student, subset, out = sys.argv[1:]
plan = SearchPlan("paper", "paper", "evolution", population=2, iterations=2, sample_ratio=0.9, top_k=1)
evolve.run("global", Pair(teacher, checkpoint, student), plan, Schedule(1, 2), searched="global", subset=Path(subset), out=Path(out))
"""


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return list(make(tmp_path_factory.mktemp("world")))


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
    for moment in (2, 9):  # in the middle of a training: a start without an end
        process = search(arguments, killed)
        while records(killed) < moment and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        assert moment <= records(killed) < total
    assert search(arguments, killed).wait(timeout=300) == 0

    for name in ("journal.jsonl", "recipe.json"):
        assert (killed / "study" / name).read_bytes() == (tmp_path / "alone" / "study" / name).read_bytes()
