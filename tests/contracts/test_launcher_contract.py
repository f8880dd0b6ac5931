"""All six stages as pods run them: only objects of a real S3 server between the tasks, a user without rights, an empty disk each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launcher import Launcher, somebody

from detkds.data.synthetic import generate
from detkds.stages.plans import Pair, Schedule
from detkds.stages.teacher import run as train_teacher
from detkds.storage import EmbeddedServer, open_store

CONFIGS = Path(__file__).resolve().parents[2] / "examples" / "configs"
BUCKET = "launcher"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Below /tmp itself, because pytest's own folders are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="detkds-pods-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def parameters(s3_server: EmbeddedServer, folder: Path) -> Iterator[dict[str, Any]]:
    """A tiny data set, a teacher and both configs, all in the bucket."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.environment().items():
            patch.setenv(name, value)
        patch.setenv("DETKDS_HOME", str(folder / "home"))
        store = open_store(f"s3://{BUCKET}")
        store.ensure_bucket()
        generate(folder / "data", teacher_images=4, train=8, test=4, size=(64, 64))
        store.put_tree(folder / "data", "data")
        store.put_file(_teacher(folder), "models/teacher.pth")
        for role in ("teacher", "student"):
            store.put_file(CONFIGS / f"demo_{role}.yaml", f"configs/{role}.yaml")
        yield {
            "run_name": "pods",
            "results": f"s3://{BUCKET}/runs",
            "work": f"s3://{BUCKET}/work",
            "dataset": f"s3://{BUCKET}/data",
            "teacher_config": f"s3://{BUCKET}/configs/teacher.yaml",
            "teacher_checkpoint": f"s3://{BUCKET}/models/teacher.pth",
            "student_config": f"s3://{BUCKET}/configs/student.yaml",
            "train_annotations": "annotations/train.json",
            "train_images": "train",
            "test_annotations": "annotations/test.json",
            "test_images": "test",
            "searched": "global,logits",
            "population": 1.0,
            "iterations": 0.0,
            "top_k": 1.0,
            "weights_population": 1.0,
            "weights_iterations": 0.0,
            "subset_fraction": 0.5,
            "search_val_fraction": 0.5,
            "proxy_epochs": 1.0,
            "epochs": 1.0,
        }


def _teacher(folder: Path) -> Path:
    untaught = Pair("", "", str(CONFIGS / "demo_teacher.yaml"), inherit=False)
    source = {"root": str(folder / "data"), "annotations": "annotations/teacher.json", "images": "teacher"}
    return train_teacher(untaught, Schedule(1, batch_size=2), **source, home=folder / "home", show=print)


def test_six_stages_pass_their_artifacts_through_the_bucket(s3_server: EmbeddedServer, folder: Path, parameters: dict[str, Any]) -> None:
    launcher = Launcher("search", BUCKET, folder / "pods", s3_server.environment())
    for task in launcher.tasks():
        ended = launcher.launch(task, parameters)
        assert ended.returncode == 0, f"{task}:\n{ended.stderr[-3000:]}"
    assert set(launcher.who.values()) == {somebody().get("user", os.geteuid())}

    store = open_store(f"s3://{BUCKET}/runs")
    latest = store.get_bytes("pods/latest").decode()
    results = json.loads(store.get_bytes(f"pods/{latest}/results.json"))
    assert list(results["evaluation"]["detectors"]) == ["teacher", "student", "distilled"]
    page = next(output for name, output in launcher.outputs.items() if name.startswith("report"))["page"]
    assert store.get_bytes(f"pods/{latest}/report.html") == open_store(page["uri"].rpartition("/")[0]).get_bytes("page")
    assert page["metadata"]["results"] == store.uri(f"pods/{latest}")


def test_a_faulty_input_is_the_last_line_of_the_pods_log(s3_server: EmbeddedServer, folder: Path, parameters: dict[str, Any]) -> None:
    launcher = Launcher("search", BUCKET, folder / "pods", s3_server.environment())
    ended: subprocess.CompletedProcess[str] = launcher.launch("subset", {**parameters, "dataset": f"s3://{BUCKET}/nowhere"})
    assert ended.returncode != 0
    assert f"s3://{BUCKET}/nowhere does not exist; correct the address" in ended.stderr + ended.stdout
    for secret in s3_server.environment().values():
        assert secret == s3_server.endpoint or secret not in ended.stderr + ended.stdout
