"""A search that several processes share, as the processes of a TrainJob do: torch's store between them, an S3 server for the rest."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from search_process import Formula

from detkds.errors import ConfigError
from detkds.pipeline import evolve, proxy, search_rank, teaching
from detkds.pipeline.kubeflow import nodes
from detkds.pipeline.kubeflow.trainjob import TrainJob
from detkds.pipeline.values import Values
from detkds.storage.artifacts import publishing
from detkds.storage.server import EmbeddedServer
from detkds.storage.uri import open_store

PROCESS = Path(__file__).with_name("search_process.py")
ROOT = Path(__file__).resolve().parents[2]
VALUES = Values(
    teacher_config="t", teacher_checkpoint="t.pth", student_config="s", searched="global", population=8, iterations=4, top_k=3,
    search_nodes=2,
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


def start(address: str, size: int, folder: Path, **more: str) -> list[subprocess.Popen[str]]:
    """So many processes with the environment that torchrun gives."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": str(size)}
    common |= {"PYTHONPATH": str(ROOT), "NOTES": str(folder / "notes"), "DETKDS_HOME": str(folder / "home"), "DETKDS_LEASE_S": "1", **more}
    words = [sys.executable, str(PROCESS), address]
    return [
        subprocess.Popen(words, env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(size)
    ]


class Job:
    """In the place of Trainer: the processes of the job, on this machine."""

    def __init__(self, size: int, folder: Path) -> None:
        self.size, self.folder = size, folder
        self.jobs: list[TrainJob] = []

    def run(self, job: TrainJob, **_: Any) -> None:
        self.jobs.append(job)
        ended = start(job.command[-1], self.size, self.folder)
        for process in ended:
            _, said = process.communicate(timeout=240)
            assert process.returncode == 0, said


def searched(size: int, subset: Path, folder: Path, work: str) -> tuple[Job, str, Counter[str]]:
    """A study by so many processes: the job, its journal, and how many candidates each process measured."""
    folder.mkdir()
    cluster = Job(size, folder)
    told = Values.read({**VALUES.to_dict(), "work": f"{work}/{size}"})
    result = nodes.search("global", told, [], subset=subset, out=folder / "study", image="image", trainer=lambda: cluster)  # type: ignore[arg-type,return-value]
    assert result.metadata["study"] == "global"
    return cluster, (folder / "study" / "journal.jsonl").read_text(), Counter((folder / "notes").read_text().split())


def test_several_processes_write_the_journal_of_one_and_lose_none_of_it(
    work: str, subset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(proxy, "Proxy", Formula)
    monkeypatch.setattr(teaching, "require_teaching", lambda *_: None)
    pair, plan, schedule = VALUES.pair, VALUES.search_plan, VALUES.proxy
    evolve.run("global", pair, plan, schedule, searched="global", subset=subset, out=tmp_path / "alone", work=f"{work}/1", workers=1)
    alone = (tmp_path / "alone" / "journal.jsonl").read_text()
    assert alone.count("\n") > 10
    for size in (2, 4):
        cluster, journal, measured = searched(size, subset, tmp_path / str(size), work)
        assert journal == alone
        assert set(measured) == {str(rank) for rank in range(size)}, "every process measures"
        (job,) = cluster.jobs
        assert (job.nodes, job.command[2]) == (2, "detkds.pipeline.search_rank")
        told = Values.read({**VALUES.to_dict(), "work": f"{work}/{size}"})
        nodes.search("global", told, [], subset=subset, out=tmp_path / "again", image="image", trainer=partial(next, iter([cluster])))  # type: ignore[arg-type,return-value]
        assert len(cluster.jobs) == 1, "what was found is fetched"

    folder = tmp_path / "lost"
    folder.mkdir()

    class Lost(Job):
        """Of its two processes one is killed; the job that is made anew resumes."""

        def run(self, job: TrainJob, **_: Any) -> None:
            both = start(job.command[-1], 2, folder, DIES_AT="1", DETKDS_SILENT_S="2")
            for process in both:
                process.communicate(timeout=240)
            assert [process.returncode for process in both] == [75, -9]
            super().run(job)

    cluster = Lost(2, folder)
    told = Values.read({**VALUES.to_dict(), "work": f"{work}/lost"})
    nodes.search("global", told, [], subset=subset, out=folder / "study", image="image", trainer=lambda: cluster)  # type: ignore[arg-type,return-value]
    assert (folder / "study" / "journal.jsonl").read_text() == alone


def test_a_search_on_nodes_needs_a_store(subset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a search on 2 nodes needs an s3:// address as `work`"):
        nodes.search("global", VALUES, [], subset=subset, out=tmp_path / "out", image="image")


def test_a_job_reads_back() -> None:
    job = search_rank.SearchJob("weights", VALUES.to_dict(), "", ("studies/0",))
    assert search_rank.SearchJob.loads(job.dumps(), "job.json") == job
