"""Processes of our own, one per GPU: each sees its GPU as the only one, uses its share of the CPUs, and ends with its parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import cycle, islice
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

from detkds.errors import ConfigError, Interrupted

VISIBLE = "CUDA_VISIBLE_DEVICES"
CPUS = "DETKDS_CPUS"
"""The environment variable with the CPUs that a task asked for, as Kubernetes writes them, such as 4 or 500m."""

PARENT = "DETKDS_PARENT"
"""The environment variable with the process id of a local run, which ends its tasks with it."""

SPINS = "GOMP_SPINCOUNT"
"""The environment variable, read when torch is imported, that says how often a thread looks for work before it sleeps."""


def spins() -> dict[str, str]:
    """The environment that lets threads without work soon sleep, in a process that imports torch after it was set; empty where the user
    has chosen.

    By default such a thread keeps its CPU busy. Where other programs run on that CPU, a training with two threads becomes up to ten times
    slower. A thread that slept at once would cost a quarter of the speed of an idle machine (benchmarks/RESULTS.md, Threads).
    """
    return {} if SPINS in os.environ else {SPINS: "1000"}


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES knows them; none on a CPU."""
    import torch

    names = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    return [names[place] if names else str(place) for place in range(torch.cuda.device_count())]


def first_gpus(count: int) -> str:
    """CUDA_VISIBLE_DEVICES with the first `count` of the GPUs that this process sees; a search and a training use all they see."""
    names = os.environ.get(VISIBLE)
    seen = [str(place) for place in range(count)] if names is None else [name for name in names.split(",") if name]
    return ",".join(seen[:count])


MEMORY_GB = 3
"""Gigabytes of main memory that a process with a detector may need on a CPU: measured are .9 to 1.6."""


def at_once(root: Path = Path("/sys/fs/cgroup")) -> int:
    """How many processes with a detector this machine can hold: one per GPU; without any, one per CPU as far as the memory goes.

    Small detectors gain nothing from a second thread, while two processes train two of them in the time of one.

    Args:
        root: of the cgroup file systems.
    """
    return len(gpus()) or max(1, min(int(cpus(root)), int(_memory_gb(root) // MEMORY_GB)))


def dealt(count: int) -> Iterator[str]:
    """A GPU for each of `count` processes, in turn; empty where there is none."""
    return islice(cycle(gpus() or [""]), count)


def server() -> ForkServerContext:
    """Starts processes as copies of one that has imported what all of them need, torch and mmdet among it, which takes 7 s.

    That one has used neither GPU nor threads, so forking it is safe. It starts with the first call, in the background, serves whoever asks
    in this process, and ends with it.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # processes of one training would warn at every step without an unused parameter
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["detkds.pipeline.proxy"])
    forkserver.ensure_running()
    return context


def begin(device: str, share: int = 1) -> None:
    """What such a process does first: take its GPU, before torch looks for any, and its part of the CPUs, and watch whether its parent
    lives.

    Args:
        device: its GPU; empty: none.
        share: how many such processes this machine has.
    """
    if device:
        os.environ[VISIBLE] = device
    os.environ[CPUS] = f"{cpus() / share:g}"
    use_cpus()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def end_with_run() -> None:
    """From now on, end this process with SIGTERM, at which a training writes its checkpoint, when the local run that started it is gone;
    do nothing where no local run did."""
    run = int(os.environ.get(PARENT, "0"))
    if run and run != os.getpid():
        _follow(run)


@cache
def _follow(run: int) -> None:
    """Once per process, however many functions of a task ask for it."""
    threading.Thread(target=_end_after, args=(run,), daemon=True).start()


def _end_after(run: int) -> None:
    """KFP starts a task by a shell, so that the run is not its parent but an ancestor."""
    while _lives(run):
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"  # Z: ended, and nobody has asked how
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or a system without /proc
        return True


def adopt(environment: Mapping[str, str]) -> None:
    """Have the environment of the process that asked the server for this one, and not the one in which the server began."""
    os.environ.clear()
    os.environ.update(environment)


def cpus(root: Path = Path("/sys/fs/cgroup")) -> float:
    """How many CPUs this process may use: those that it may run on, no more than DETKDS_CPUS and its cgroup say.

    A pod with a request and no limit may run on every CPU of its node, and so may the four beside it.

    Args:
        root: of the cgroup file systems.

    Raises:
        ConfigError: DETKDS_CPUS is not a number of CPUs.
    """
    asked = os.environ.get(CPUS, "")
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(m?)", asked)
    limit = float(found[1]) / (1000 if found[2] else 1) if found else 0.0
    if asked and not limit > 0:
        raise ConfigError(f"{CPUS} must be a number of CPUs above 0, such as 4 or 500m, got {asked[:40]!r}; correct it.")
    known = [float(len(os.sched_getaffinity(0))), limit, _cgroup_limit(root)]
    return min(count for count in known if count > 0)


def _cgroup_limit(root: Path) -> float:
    """The CPUs that a container's cgroup lets it use, of version 2 or 1; 0 where it sets no limit or does not exist."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (root / "cpu.max").read_text().split()
        return float(quota) / float(period)
    for folder in (root / "cpu", root / "cpu,cpuacct"):
        with contextlib.suppress(OSError, ValueError):
            quota_us = float((folder / "cpu.cfs_quota_us").read_text())
            return max(0.0, quota_us) / float((folder / "cpu.cfs_period_us").read_text())
    return 0.0


def _memory_gb(root: Path) -> float:
    """Main memory of this machine, or the less that a container's cgroup allows, in gigabytes."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int((root / name).read_text()))
    return min(sizes) / 1e9


def use_cpus() -> int:
    """Let torch and OpenCV use as many threads as this process has CPUs, at least one, and return how many; OMP_NUM_THREADS goes first.

    Several tasks with a thread for every CPU of their node wait for each other most of the time.
    """
    import cv2
    import torch

    count = max(1, int(cpus()))
    torch.set_num_threads(min(torch.get_num_threads(), count))
    cv2.setNumThreads(count)
    return count


def _end_with_parent(leave: Callable[[int], None] = os._exit) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        leave(Interrupted.exit_code)
