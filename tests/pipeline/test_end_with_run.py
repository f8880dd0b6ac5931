"""A task of a local run ends when the run is killed, and a process that no run started does not care."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detkds.processes import PARENT

TASK = """
import os, sys, time
from pathlib import Path
from detkds.processes import end_with_run
end_with_run()
Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60)
"""
RUN = """
import os, subprocess, sys
words = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", *sys.argv[1:3]]  # KFP starts a task by a shell
subprocess.run(words, env={**os.environ, sys.argv[3]: str(os.getpid())})
"""


@pytest.mark.parametrize(("name", "ends"), [(PARENT, True), ("ANOTHER", False)])
def test_a_task_ends_with_the_run_that_started_it(tmp_path: Path, name: str, ends: bool) -> None:
    begun = tmp_path / "begun"
    with subprocess.Popen([sys.executable, "-c", RUN, TASK, str(begun), name]) as run:
        while not begun.exists() or not begun.read_text():
            time.sleep(0.05)
        task = int(begun.read_text())
        run.kill()
        run.wait()
        assert _gone(task, within_s=10 if ends else 3) is ends
    if not ends:
        os.kill(task, signal.SIGKILL)


def _gone(process: int, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # nobody collects it here
            return True
        time.sleep(0.05)
    return False
