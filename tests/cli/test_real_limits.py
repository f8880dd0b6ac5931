"""What the machine itself refuses or sends, for real: an interrupt, a limit of file sizes, folders that may not be written."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detkds.data.synthetic import generate

ROOT = Path(__file__).resolve().parents[2]
MAIN = "from detkds.cli import main; main()"
AT_WORK = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and its children do
import detkds.pipeline.doctor as doctor
def examine(*_, **__):
    print("at work", flush=True)
    time.sleep(60)
doctor.examine = examine
from detkds.cli import main
sys.argv = ["detkds", "doctor"]
main()
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "data"
    generate(folder, teacher_images=1, train=6, test=1, size=(64, 64))
    return folder


def repaired(data: Path, out: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """`detkds data check --fix`: the repaired copy is written to `out`."""
    words = ["data", "check", data / "annotations/train.json", "--images", data / "train", "--fix", out, "--boxes", "sides"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", MAIN, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=data.parent, **options)


def test_an_interrupt_is_one_line_that_says_how_to_resume() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", AT_WORK], env=environment, stdout=-1, stderr=-1, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "at work\n"
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert said == "detkds: interrupted; what was finished is kept, and the same command resumes from there\n"


def test_a_file_that_may_not_grow_is_one_line_and_nothing_is_half_written(data: Path, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    ended = repaired(data, tmp_path / "out.json", preexec_fn=limit)
    assert (ended.returncode, ended.stderr.count("\n")) == (75, 1), ended.stderr
    assert "may not become as large as it must; raise `ulimit -f`" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def as_anybody() -> None:
    """Without the right of root to write everywhere (CAP_DAC_OVERRIDE, from the set that a new program may have)."""
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0):
        os._exit(99)


def in_a_file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file" / "out.json"


def in_a_folder_of_somebody_else(folder: Path) -> Path:
    (folder / "theirs").mkdir(mode=0o555)
    return folder / "theirs" / "out.json"


@pytest.mark.parametrize("place", [in_a_file, in_a_folder_of_somebody_else])
def test_a_place_that_may_not_be_written_is_one_line(data: Path, tmp_path: Path, place: Callable[[Path], Path]) -> None:
    out = place(tmp_path)
    ended = repaired(data, out, preexec_fn=as_anybody)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert "give a place that can be written" in ended.stderr
    assert not out.exists()
