"""A search that several processes share, as the processes of a TrainJob do: torch's store between them, an S3 server for the rest."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from search_process import Formula, started

from detkds.errors import ConfigError
from detkds.pipeline import evolve, proxy, search_rank, teaching, weights
from detkds.pipeline.kubeflow import nodes
from detkds.pipeline.kubeflow.trainjob import TrainJob
from detkds.pipeline.task import WEIGHTS
from detkds.pipeline.values import Values
from detkds.storage.artifacts import publishing
from detkds.storage.server import EmbeddedServer
from detkds.storage.uri import open_store

VALUES = Values(
    teacher_config="t", teacher_checkpoint="t.pth", student_config="s", searched="global", population=8, iterations=4, top_k=3,
    search_nodes=2, weights_population=4, weights_iterations=3, race_candidates=2, race_seeds=2,
)  # fmt: skip


@pytest.fixture
def work(s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    open_store("s3://search").ensure_bucket()
    return f"s3://search/{secrets.token_hex(6)}"


@pytest.fixture
def subset(tmp_path: Path) -> Path:
    with publishing(tmp_path / "subset", kind="subset") as folder:
        (folder / "train.json").write_text("{}")
    return tmp_path / "subset"


def start(address: str, size: int, folder: Path, **more: str) -> list[BaseProcess]:
    """So many processes with the environment that torchrun gives."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": str(size)}
    common |= {"NOTES": str(folder / "notes"), "DETKDS_HOME": str(folder / "home"), "DETKDS_LEASE_S": "1", **more}
    return [started(address, {**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(size)]


def ended(processes: list[BaseProcess]) -> list[int | None]:
    """Their exit codes."""
    for process in processes:
        process.join(240)
    return [process.exitcode for process in processes]


class Job:
    """In the place of Trainer: the processes of the job, on this machine."""

    def __init__(self, size: int, folder: Path) -> None:
        self.size, self.folder = size, folder
        self.jobs: list[TrainJob] = []

    def run(self, job: TrainJob, **_: Any) -> None:
        self.jobs.append(job)
        assert ended(start(job.command[-1], self.size, self.folder)) == [0] * self.size


class Lost(Job):
    """Of its two processes one is killed; the job that is made anew resumes."""

    def run(self, job: TrainJob, **_: Any) -> None:
        assert ended(start(job.command[-1], 2, self.folder, DIES_AT="1", DETKDS_SILENT_S="2")) == [75, -9]
        super().run(job)


def searched(cluster: Job, study: str, studies: Sequence[Path], subset: Path, work: str) -> Path:
    """The folder with what a job found: the study, and for the weights the recipe."""
    told = Values.read({**VALUES.to_dict(), "work": work})
    given: dict[str, Any] = {"subset": subset, "image": "image", "trainer": lambda: cluster}
    given["recipe_out"] = cluster.folder / "recipe" if study == WEIGHTS else None
    if not cluster.jobs:
        cluster.folder.mkdir()
    result = nodes.search(study, told, studies, out=cluster.folder / "study", **given)
    assert result.metadata["study"] == study
    nodes.search(study, told, studies, **{**given, "out": cluster.folder / "again", "recipe_out": None})
    (job,) = cluster.jobs  # what was found is fetched
    assert (job.nodes, job.command[2]) == (2, "detkds.pipeline.search_rank")
    return cluster.folder


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for what one process finds."""
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(proxy, "Proxy", Formula)
    monkeypatch.setattr(teaching, "require_teaching", lambda *_: None)
    (tmp_path / "alone").mkdir()
    return tmp_path / "alone"


def test_several_processes_write_the_journals_of_one_and_lose_none_of_them(alone: Path, work: str, subset: Path, tmp_path: Path) -> None:
    pair, schedule, study = VALUES.pair, VALUES.proxy, alone / "study"
    evolve.run("global", pair, VALUES.search_plan, schedule, searched="global", subset=subset, out=study, work=f"{work}/1", workers=1)
    journal = (study / "journal.jsonl").read_text()
    assert journal.count("\n") > 10
    for cluster in (Job(2, tmp_path / "2"), Job(4, tmp_path / "4"), Lost(2, tmp_path / "lost")):
        found = searched(cluster, "global", [], subset, f"{work}/{cluster.folder.name}")
        assert (found / "study" / "journal.jsonl").read_text() == journal
        measured = (found / "notes").read_text().split()
        assert set(measured) == {str(rank) for rank in range(cluster.size)}, "every process measures"

    weights.run(
        [study], pair, VALUES.weights_plan, schedule, final=VALUES.race_plan, subset=subset,
        out=alone / "weights", recipe_out=alone / "recipe", work=f"{work}/1", workers=1,
    )  # fmt: skip
    found = searched(Job(2, tmp_path / "weights"), WEIGHTS, [study], subset, f"{work}/weights")
    written = contents(found / "study")
    assert written == contents(alone / "weights")
    assert contents(found / "recipe") == contents(alone / "recipe")
    assert {"journal.jsonl", "leaderboard.json", "known-distillers.jsonl", "race-1.jsonl", "race-2.jsonl"} <= set(written)
    assert len(json.loads(written["leaderboard.json"])["rows"]) > 3
    assert (found / "recipe" / "recipe.txt").read_text() != "no distillation\n"
    assert set((found / "notes").read_text().split()) == {"0", "1"}


def contents(artifact: Path) -> dict[str, str]:
    """Text of each file by its path, but for seconds and the manifest that has their digest."""
    files = [file for file in sorted(artifact.rglob("*")) if file.is_file() and file.name not in ("timings.jsonl", "manifest.json")]
    return {str(file.relative_to(artifact)): file.read_text() for file in files}


def test_a_search_on_nodes_needs_a_store(subset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a search on 2 nodes needs an s3:// address as `work`"):
        nodes.search("global", VALUES, [], subset=subset, out=tmp_path / "out", image="image")


def test_a_job_reads_back() -> None:
    job = search_rank.SearchJob("weights", VALUES.to_dict(), "", ("studies/0",))
    assert search_rank.SearchJob.loads(job.dumps(), "job.json") == job
