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
        "knowledge": ["global", "logits"],
        "population": 1,
        "iterations": 0,
        "top_k": 1,
        "weights": {"population": 1, "iterations": 0},
        "subset": 0.5,
        "search_val": 0.5,
    },
    "train": {"epochs": 1},
}


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
    command = [sys.executable, "-c", "from detkds.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


def test_run_pull_and_run_again(world: Path) -> None:
    first = detkds(world, "run", "run.yaml")
    assert first.returncode == 0, first.stdout + first.stderr
    for word in ("teacher", "student without distillation", "distilled student", "recipe found", "detkds pull tiny"):
        assert word in first.stdout
    assert (world / ".detkds" / "runs" / "tiny" / "report.html").is_file()

    pulled = detkds(world, "pull", "latest", "--to", "student", "--onnx")
    assert pulled.returncode == 0, pulled.stderr
    assert (world / "student.onnx").is_file()
    check = "from mmdet.apis import init_detector; init_detector('student/student.py', 'student/student.pth', device='cpu')"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", check], cwd=world, capture_output=True, timeout=120).returncode == 0

    again = detkds(world, "run", "run.yaml")
    assert again.returncode == 0, again.stderr
    assert "evolve global" not in again.stdout, "a finished stage ran again"
    assert "report" in again.stdout


def test_a_known_recipe_is_trained_without_a_search(world: Path) -> None:
    content = {**RUN, "name": "transferred"}
    (world / "transfer.yaml").write_text(yaml.safe_dump(content))
    result = detkds(world, "run", "transfer.yaml", "--recipe", "pkd")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "global: none > none > norm_batch | l2 x 1" in result.stdout
    assert "evolve" not in result.stdout


def test_a_fault_in_a_task_is_the_commands_own_one_line(world: Path) -> None:
    content = {**RUN, "name": "faulty", "data": {**RUN["data"], "test": RUN["data"]["train"]}}  # type: ignore[dict-item,index]
    (world / "faulty.yaml").write_text(yaml.safe_dump(content))
    result = detkds(world, "run", "faulty.yaml")
    assert result.returncode == 65
    assert "the test set must not share images with the training set" in result.stderr
    assert "Traceback" not in result.stderr
