"""All six stages as pods run them: only objects of a real S3 server between the tasks, a user without rights, an empty disk each."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launcher import Launcher, somebody

from detkds.pipeline.searches import Searches
from detkds.storage import open_store
from detkds.storage.server import EmbeddedServer
from images.rehearsal.world import furnish

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
        configs = {role: (CONFIGS / f"demo_{role}.yaml").read_text() for role in ("teacher", "student")}
        yield furnish(folder, configs, BUCKET)


def test_six_stages_pass_their_artifacts_through_the_bucket(s3_server: EmbeddedServer, folder: Path, parameters: dict[str, Any]) -> None:
    launcher = Launcher("search", BUCKET, parameters, folder / "pods", s3_server.environment())
    for task in launcher.driver.tasks():
        ended = launcher.launch(task)
        assert ended.returncode == 0, f"{task}:\n{ended.stderr[-3000:]}"
    assert set(launcher.who.values()) == {somebody().get("user", os.geteuid())}

    # as `detkds watch` finds it, by the id that KFP gave the run; the race at the end has studies of its own
    searched = Searches(open_store(f"s3://{BUCKET}/work")).studies(launcher.run)
    assert {"global", "logits", "weights"} <= {study.task.name for study in searched if not study.task.reason}

    store = open_store(f"s3://{BUCKET}/runs")
    latest = store.get_bytes("rehearsal/latest").decode()
    results = json.loads(store.get_bytes(f"rehearsal/{latest}/results.json"))
    assert list(results["evaluation"]["detectors"]) == ["teacher", "student", "distilled"]
    page = next(output for name, output in launcher.driver.outputs.items() if name.startswith("report"))["page"]
    assert store.get_bytes(f"rehearsal/{latest}/report.html") == open_store(page["uri"].rpartition("/")[0]).get_bytes("page")
    assert page["metadata"]["results"] == store.uri(f"rehearsal/{latest}")


def test_a_faulty_input_is_the_last_line_of_the_pods_log(s3_server: EmbeddedServer, folder: Path, parameters: dict[str, Any]) -> None:
    faulty = {**parameters, "dataset": f"s3://{BUCKET}/nowhere"}
    ended = Launcher("search", BUCKET, faulty, folder / "pods", s3_server.environment()).launch("check")
    assert ended.returncode != 0
    assert f"dataset: s3://{BUCKET}/nowhere/annotations/train.json does not exist; correct the address" in ended.stderr + ended.stdout
    for secret in s3_server.environment().values():
        assert secret == s3_server.endpoint or secret not in ended.stderr + ended.stdout
