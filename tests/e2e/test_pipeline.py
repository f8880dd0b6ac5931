"""The compiled pipelines from first to last task under kfp.local, with the real store, on pictures of 64 pixels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from detkds.data.synthetic import generate

ROOT = Path(__file__).resolve().parents[2]
RUN = {
    "name": "tiny",
    "data": {
        "root": "data",
        "train": {"annotations": "annotations/train.json", "images": "train"},
        "test": {"annotations": "annotations/test.json", "images": "test"},
    },
    "teacher": {
        "config": "demo_teacher.yaml",
        "min_ap": 0,  # it is trained for one epoch and finds nothing
        "train": {"epochs": 1, "data": {"annotations": "annotations/teacher.json", "images": "teacher"}},
    },
    "student": {"config": "demo_student.yaml"},
    "search": {
        "knowledge": ["global"],  # two are searched in tests/contracts/test_launcher_contract.py
        "population": 1,
        "iterations": 0,
        "top_k": 1,
        "weights": {"population": 1, "iterations": 0},
        "subset": 0.5,
        "search_val": 0.5,
        "final_race": {"candidates": 0},  # a race is run in tests/contracts/test_launcher_contract.py
    },
    "train": {"epochs": 1},
}

OPENED_BY_MMDET = """
from mmdet.apis import init_detector
init_detector("student/student.py", "student/student.pth", device="cpu")
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    generate(folder / "data", teacher_images=4, train=8, test=4, size=(64, 64))
    for role in ("teacher", "student"):
        shutil.copy(ROOT / "examples" / "configs" / f"demo_{role}.yaml", folder)
    (folder / "run.yaml").write_text(yaml.safe_dump(RUN))
    return folder


def detkds(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DETKDS_")}
    environment["DETKDS_CPUS"] = "1"  # so small a search gains nothing from a process per CPU, and tests run beside each other
    command = [sys.executable, "-c", "from detkds.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


def test_run_pull_and_run_again(world: Path) -> None:
    first = detkds(world, "run", "run.yaml")
    assert first.returncode == 0, first.stdout + first.stderr
    for word in ("teacher", "student without distillation", "distilled student", "recipe found", "detkds pull tiny"):
        assert word in first.stdout
    assert (world / ".detkds" / "runs" / "tiny" / "report.html").is_file()

    pulled = detkds(world, "pull", "latest", "--to", "student")
    assert pulled.returncode == 0, pulled.stderr
    stock = [sys.executable, "-W", "ignore", "-c", OPENED_BY_MMDET]
    opened = subprocess.run(stock, cwd=world, capture_output=True, text=True, timeout=300)
    assert opened.returncode == 0, opened.stderr[-2000:]

    again = detkds(world, "run", "run.yaml")
    assert again.returncode == 0, again.stderr
    assert "evolve global" not in again.stdout, "a finished stage ran again"
    assert "report" in again.stdout


def test_a_fault_in_a_task_is_the_commands_own_one_line(world: Path) -> None:
    content = {**RUN, "name": "faulty", "data": {**RUN["data"], "test": RUN["data"]["train"]}}  # type: ignore[dict-item,index]
    (world / "faulty.yaml").write_text(yaml.safe_dump(content))
    result = detkds(world, "run", "faulty.yaml")
    assert result.returncode == 65
    assert "data.train and data.test both name annotations/train.json" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_plugins_words_go_through_the_compiled_pipeline(world: Path) -> None:
    """From a run.yaml that names a module to a report that draws its formula, without a search; every task is a process of its own."""
    content = {**RUN, "name": "own-words", "plugins": ["detkds_robust"]}
    (world / "own.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(ROOT / "examples" / "plugin"), prepend=os.pathsep)
        refused = detkds(world, "run", "own.yaml")
        assert refused.returncode == 2
        assert "add --trust-config to run it" in refused.stderr
        recipe = "global: none > none > signed_root | pseudo_huber x 2"
        result = detkds(world, "run", "own.yaml", "--recipe", recipe, "--trust-config")
    assert result.returncode == 0, result.stdout + result.stderr
    assert recipe in result.stdout
    assert "evolve" not in result.stdout
    page = (world / ".detkds" / "runs" / "own-words" / "report.html").read_text()
    assert "sign(f) · (√(|f| + 1) − 1)" in page
