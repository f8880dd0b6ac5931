"""Candidates measured in several processes: the journal of one process, whatever happens to the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from detkds.errors import ConfigError, Interrupted, Rejected
from detkds.genome import Knowledge, Recipe
from detkds.pipeline.workers import hired
from detkds.search import Evolution, Goal, Journal, Objective, Outcome, SearchSettings, SearchSpace, Study, run

SETTINGS = SearchSettings(population=5, iterations=2, sample_ratio=0.9, top_k=2)


class Scored:
    """Scores by digest; some are rejected. Notes who measured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        number = int(recipe.digest[:6], 16)
        (self.folder / f"{recipe.digest}-{os.getpid()}").touch()
        if number % 2 == 0:
            raise Rejected("too-large", f"the loss is {number}", 7)
        return Outcome(number % 1000 / 1000, student_steps=number % 50)


class Deadly(Scored):
    """Dies at the first candidate with a loss."""

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        if recipe.active:
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome(0.5)


class Unbuildable(Scored):
    def __init__(self, folder: Path) -> None:
        raise ConfigError("the teacher needs a checkpoint")


def study(folder: Path, count: int, kind: type[Scored] = Scored) -> Study:
    (folder / "measured").mkdir(parents=True, exist_ok=True)
    designer = Evolution(SearchSpace.preset(), Knowledge.GLOBAL, SETTINGS, seed=0)
    build: Callable[[], Objective] = partial(kind, folder / "measured")
    with hired(count, build) as crew, Journal(folder / "journal.jsonl", {"seed": 0}) as journal:
        identify = coarse
        return run(designer, crew or build(), journal, identify=identify, ahead=crew.ahead if crew else None)


def coarse(recipe: Recipe) -> str:
    """So that some trials of a batch answer others of it."""
    return recipe.active[0].distance if recipe.active else "none"


def test_two_workers_write_the_journal_of_one(tmp_path: Path) -> None:
    alone, shared = study(tmp_path / "alone", 1), study(tmp_path / "shared", 2)
    assert alone == shared
    assert alone.counts.answered > 0
    assert alone.counts.rejected
    journals = [(tmp_path / name / "journal.jsonl").read_bytes() for name in ("alone", "shared")]
    assert journals[0] == journals[1]
    measured = [[path.name.split("-") for path in (tmp_path / name / "measured").iterdir()] for name in ("alone", "shared")]
    assert sorted(digest for digest, _ in measured[0]) == sorted(digest for digest, _ in measured[1])  # each once
    assert str(os.getpid()) not in {worker for _, worker in measured[1]}


def test_a_worker_that_is_killed_is_one_clear_error_and_the_study_goes_on(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="a worker's process was killed, memory may have run out"):
        study(tmp_path / "shared", 2, Deadly)
    whole, resumed = study(tmp_path / "alone", 1), study(tmp_path / "shared", 2)
    assert whole.trials[1:] == resumed.trials[1:]


def test_what_a_worker_cannot_build_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the teacher needs a checkpoint"):
        study(tmp_path, 2, Unbuildable)


PAUSED = """
import os, signal, sys
from functools import partial
from pathlib import Path
from detkds.genome import Recipe
from detkds.search import Goal
from detkds.pipeline.workers import hired

class Paused:
    def __init__(self, folder):
        self.folder = folder
    def __call__(self, recipe, goal):
        (self.folder / str(os.getpid())).touch()
        signal.pause()

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with hired(2, partial(Paused, folder)) as crew:
        crew.ahead([(Recipe(), Goal()), (Recipe(), Goal())])
        crew(Recipe(), Goal())
"""


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what other processes do."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_study(tmp_path: Path, number: signal.Signals) -> None:
    script, folder = tmp_path / "paused.py", tmp_path / "pids"
    script.write_text(PAUSED)
    folder.mkdir()
    with subprocess.Popen([sys.executable, str(script), str(folder)]) as parent:
        try:
            until(lambda: len(list(folder.iterdir())) == 2)
        finally:
            parent.send_signal(number)
    until(lambda: not any(lives(int(path.name)) for path in folder.iterdir()), 25)
