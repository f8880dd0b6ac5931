"""A search on the real objective, killed with SIGKILL and started again, ends as one that was left alone: byte for byte."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from small_world import make

from detkds.pipeline import evolve
from detkds.pipeline.settings import Pair, Schedule, SearchPlan


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return list(make(tmp_path_factory.mktemp("world")))


def search(arguments: list[str], home: Path) -> BaseProcess:
    """Start the search in a process of its own, forked from one that has imported what takes seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["detkds.detectors.objective", "detkds.pipeline.evolve"])
    process = context.Process(target=_search, args=(*arguments, str(home)))
    process.start()
    return process


def _search(teacher: str, checkpoint: str, student: str, subset: str, home: str) -> None:
    warnings.simplefilter("ignore")
    os.environ["DETKDS_HOME"] = home
    plan = SearchPlan("paper", "paper", "evolution", population=2, iterations=2, sample_ratio=0.9, top_k=1)
    pair, out = Pair(teacher, checkpoint, student), Path(home) / "study"
    evolve.run("global", pair, plan, Schedule(1, 2), searched="global", subset=Path(subset), out=out)


def ended(process: BaseProcess) -> int | None:
    """Its exit code, once it has one."""
    process.join(timeout=300)
    return process.exitcode


def records(home: Path) -> int:
    (journal,) = list(home.glob("work/evolve-global-*/journal.jsonl")) or [None]
    return len(journal.read_bytes().splitlines()) if journal else 0


def test_a_killed_search_ends_like_one_left_alone(arguments: list[str], tmp_path: Path) -> None:
    assert ended(search(arguments, tmp_path / "alone")) == 0
    total = records(tmp_path / "alone")

    killed = tmp_path / "killed"
    for moment in (2, 9):  # in the middle of a training: a start without an end
        process = search(arguments, killed)
        while records(killed) < moment and process.is_alive():
            time.sleep(0.01)
        process.kill()
        assert ended(process) == -signal.SIGKILL
        assert moment <= records(killed) < total
    assert ended(search(arguments, killed)) == 0

    for name in ("journal.jsonl", "recipe.json"):
        assert (killed / "study" / name).read_bytes() == (tmp_path / "alone" / "study" / name).read_bytes()
