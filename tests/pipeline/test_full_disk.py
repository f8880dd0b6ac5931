"""A disk that becomes full under a run: one line that says what is kept and what to do, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_run import content, written

from detkds.pipeline.settings import Pair

COMMAND = """
from detkds.cli import main
from detkds.pipeline.preflight import rules

rules.RULES = tuple(rule for rule in rules.RULES if rule.__name__ != "room")  # the disk becomes full after the run was checked
main()
"""


@pytest.fixture
def run_yaml(pictures: Path, pair: Pair, tmp_path: Path) -> Path:
    return written(tmp_path / "run.yaml", content(pictures, pair))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB: a run's checked data fits, its student does not."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def detkds(*words: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DETKDS_")}
    command = [sys.executable, "-c", COMMAND, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


def assert_one_line(ended: subprocess.CompletedProcess[str], words: str) -> None:
    assert ended.returncode == 75, ended.stdout + ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith("detkds: ")
    assert words in line
    assert line.endswith("and start the same command again: what was finished is kept.")
    assert "Traceback" not in ended.stdout


def test_a_run_on_a_disk_that_becomes_full(small_disk: Path, run_yaml: Path) -> None:
    ended = detkds("run", str(run_yaml), "--recipe", "pkd", "--home", str(small_disk / "home"))
    assert_one_line(ended, f"no space is left on the disk of {small_disk}")
