"""The threads of a task: as many as the CPUs that it requested, shared by its processes."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from detkds import processes
from detkds.errors import ConfigError
from detkds.processes import CPUS, at_once, begin, cpus


@pytest.fixture(autouse=True)
def _eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.delenv(CPUS, raising=False)


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "250000 100000\n"}, 2.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu.max": "1600000 100000\n"}, 8),
    ],
)
def test_a_cgroup_of_version_1_or_2_limits_the_cpus(tmp_path: Path, files: dict[str, str], count: float) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpus(tmp_path) == count


@pytest.mark.parametrize(("asked", "count"), [("4", 4), ("500m", 0.5), ("0.5", 0.5), ("64", 8), ("", 8)])
def test_what_a_task_asks_for_limits_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, count: float) -> None:
    monkeypatch.setenv(CPUS, asked)
    assert cpus(tmp_path) == count


@pytest.mark.parametrize("asked", ["four", "0", "-1", "4G"])
def test_what_is_no_number_of_cpus_is_refused(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv(CPUS, asked)
    with pytest.raises(ConfigError, match="DETKDS_CPUS must be a number of CPUs above 0"):
        cpus()


@pytest.mark.parametrize(
    ("names", "asked", "memory", "count"),
    [
        ([], "", "", 8),
        ([], "4", "", 4),
        ([], "500m", "", 1),
        ([], "", "7000000000", 2),
        ([], "", "1000000000", 1),
        ([], "", "max", 8),
        (["0", "1"], "", "1000000000", 2),
    ],
)
def test_as_many_processes_as_gpus_or_else_as_cpus_and_memory_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], asked: str, memory: str, count: int
) -> None:
    monkeypatch.setattr(processes, "gpus", lambda: names)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 16_000_000}.__getitem__)
    monkeypatch.setenv(CPUS, asked)
    (tmp_path / "memory.max").write_text(memory)
    assert at_once(tmp_path) == count


def counted(share: int) -> tuple[int, int, str]:
    """Threads of torch and OpenCV in a process that is one of `share`, and the CPUs that its own processes would read."""
    import cv2
    import torch

    os.sched_getaffinity = lambda pid: set(range(8))  # type: ignore[assignment]
    torch.set_num_threads(8)
    begin("", share)
    return torch.get_num_threads(), cv2.getNumThreads(), os.environ[CPUS]


@pytest.mark.parametrize(("asked", "share", "threads"), [("4", 1, 4), ("4", 2, 2), ("4", 8, 1), ("500m", 1, 1)])
def test_processes_share_the_cpus_of_their_task(monkeypatch: pytest.MonkeyPatch, asked: str, share: int, threads: int) -> None:
    monkeypatch.setenv(CPUS, asked)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        torch_threads, opencv_threads, left = pool.apply(counted, (share,))
    assert (torch_threads, opencv_threads) == (threads, threads)
    assert float(left) == pytest.approx((0.5 if asked == "500m" else 4) / share)


@pytest.mark.parametrize(("asked", "device", "workers"), [("3", "cuda", 3), ("64", "cuda", 8), ("500m", "cuda", 1), ("3", "cpu", 0)])
def test_images_are_loaded_by_as_many_processes_as_a_task_has_cpus(
    monkeypatch: pytest.MonkeyPatch, asked: str, device: str, workers: int
) -> None:
    import torch

    from detkds.detectors.training.loading import default_workers

    monkeypatch.setenv(CPUS, asked)
    assert default_workers(torch.device(device)) == workers
