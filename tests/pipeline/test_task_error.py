"""A person's mistake in a task: one line in its log, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPONENT = """
def stage(address: str) -> None:
    from detkds.errors import DatasetError
    from detkds.pipeline.progress import report_errors

    @report_errors
    def run() -> None:
        raise DatasetError(f"{address} does not exist; correct the path.")

    run()
"""


def test_a_mistake_ends_the_log_of_its_task_in_one_line(tmp_path: Path) -> None:
    """Started as KFP starts a task."""
    module = tmp_path / "component.py"
    module.write_text("from kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n" + COMPONENT)
    given = {"inputs": {"parameterValues": {"address": "annotations/train.json"}}, "outputs": {"outputFile": str(tmp_path / "out.json")}}
    words = ["--component_module_path", module, "--executor_input", json.dumps(given), "--function_to_execute", "stage"]
    command = [sys.executable, "-m", "kfp.dsl.executor_main", *words]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120)
    assert ended.returncode == 65
    assert "Traceback" not in ended.stdout + ended.stderr
    assert ended.stderr.splitlines()[-1] == "detkds: annotations/train.json does not exist; correct the path."
    assert "detkds-fault" not in ended.stdout + ended.stderr  # what a local run reads is for no one else
