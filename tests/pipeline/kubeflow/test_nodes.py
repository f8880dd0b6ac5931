"""A training on several nodes: what goes to the store and to Kubernetes, and what the nodes' processes do with it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from detkds.errors import ArtifactError, ConfigError, StudyHeldError
from detkds.genome import Recipe
from detkds.pipeline import rank, train
from detkds.pipeline.kubeflow import nodes
from detkds.pipeline.kubeflow.trainjob import TrainJob
from detkds.pipeline.settings import Pair, Result, Schedule
from detkds.processes import CPUS
from detkds.storage.artifacts import publishing, verify
from detkds.storage.lease import Lease
from detkds.storage.manifest import MANIFEST
from detkds.storage.server import EmbeddedServer
from detkds.storage.uri import open_store

PAIR = Pair("retinanet_r101_fpn_1x_coco", "teacher.pth", "retinanet_r50_fpn_1x_coco")
RECIPE = Recipe.parse("global: none > none > norm_batch | l2 x 2")


@pytest.fixture
def subset(tmp_path: Path) -> Path:
    with publishing(tmp_path / "subset", kind="subset") as folder:
        (folder / "train.json").write_text("{}")
    return tmp_path / "subset"


class Nodes:
    """In the place of Trainer: the first process of the nodes, in this process."""

    def __init__(self) -> None:
        self.jobs: list[TrainJob] = []
        self.turns: list[AbstractContextManager[None] | None] = []

    def run(self, job: TrainJob, *, show: Callable[[str], None], turn: AbstractContextManager[None] | None) -> None:
        self.jobs.append(job)
        self.turns.append(turn)
        show(f"TrainJob {job.name}")
        rank.run(job.command[-1])


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[object, ...]]:
    """What the share of a training was called with; it publishes an empty student."""
    calls: list[tuple[object, ...]] = []

    def share(*arguments: object, subset: Path, out: Path, work: str, loggers: Sequence[str] = ()) -> Result:
        calls.append((*arguments, verify(subset).digest, work))
        with publishing(out, kind=train.KIND, meta={"student_steps": 12}) as folder:
            (folder / "student.pth").write_bytes(b"")
        return Result({})

    monkeypatch.setattr(train, "share", share)
    monkeypatch.setenv("DETKDS_HOME", str(tmp_path / "home"))
    return calls


@pytest.fixture
def work(s3_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place of its own in a real S3 server: a store in a folder would hand out paths that no node has."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://nodes/{secrets.token_hex(8)}"


def test_a_model_comes_back_from_the_nodes(
    work: str, trained: list[tuple[object, ...]], subset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETKDS_NODE", json.dumps({"claims": ["coco"], "queue": "gpu", "memory_limit": "128G", "cpu": "6"}))
    cluster, schedule = Nodes(), Schedule(2, 16)

    def call(out: str) -> Result:
        return nodes.run(
            PAIR, schedule, RECIPE, subset=subset, out=tmp_path / out, work=work, nodes=2, gpus=8, image="image",
            trainer=lambda: cluster,  # type: ignore[arg-type,return-value]
        )  # fmt: skip

    result = call("model")
    assert (tmp_path / "model" / MANIFEST).exists()
    assert result.metrics == {"student_steps": 12.0}
    assert trained[0][:3] == (PAIR, schedule, RECIPE)
    assert trained[0][4:] == (verify(subset).digest, work)
    (job,) = cluster.jobs
    assert (job.nodes, job.gpus, job.claims, job.queue, job.memory_limit) == (2, 8, ("coco",), "gpu", "128G")
    assert job.command[:3] == ("torchrun", "-m", "detkds.pipeline.rank")
    assert job.command[3].startswith(f"{work}/detkds-train-")
    assert (job.cpu, job.environment[CPUS]) == ("6", "6")
    assert job.environment["TORCH_CPP_LOG_LEVEL"] == "ERROR"
    variables = {entry["name"]: entry.get("valueFrom") for entry in job.manifest()["spec"]["trainer"]["env"]}
    assert variables["WANDB_API_KEY"] == {"secretKeyRef": {"name": "detkds-loggers", "key": "WANDB_API_KEY", "optional": True}}
    assert variables["DETKDS_S3_REGION"] == {"secretKeyRef": {"name": "detkds-s3", "key": "region", "optional": True}}
    assert len(job.name) <= 50
    assert cluster.turns == [None]  # the queue admits jobs as a whole
    call("again")
    assert len(cluster.jobs) == len(trained) == 1  # it was there


def test_without_a_queue_one_process_at_a_time_makes_a_job(
    work: str, trained: list[tuple[object, ...]], subset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETKDS_LEASE_S", "1")
    monkeypatch.setenv("DETKDS_NODE", json.dumps({"queue": ""}))
    cluster = Nodes()
    nodes.run(
        PAIR, Schedule(2, 16), RECIPE, subset=subset, out=tmp_path / "model", work=work, nodes=2, gpus=8, image="image",
        trainer=lambda: cluster,  # type: ignore[arg-type,return-value]
    )  # fmt: skip
    (turn,) = cluster.turns
    assert turn is not None
    with turn, pytest.raises(StudyHeldError):
        Lease(open_store(work), "trainjobs/lease.json").__enter__()
    with Lease(open_store(work), "trainjobs/lease.json"):
        pass  # given back


def test_nodes_without_a_store_are_refused(subset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs an s3:// address as `work`, got ''"):
        nodes.run(PAIR, Schedule(1), RECIPE, subset=subset, out=tmp_path / "out", work="", nodes=2, gpus=1, image="image")


def test_a_job_reads_back_and_another_file_is_refused() -> None:
    job = rank.Job(PAIR, Schedule(2, 16, 0.01, True, 3), RECIPE, "s3://detkds/work")
    assert rank.Job.loads(job.dumps(), "job.json") == job
    with pytest.raises(ArtifactError, match="not a job of a training"):
        rank.Job.loads("{}", "job.json")
