"""Processes of our own, one a GPU: each sees its GPU as the only one, and none outlives who started it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from itertools import cycle, islice

from detkds.errors import Interrupted

VISIBLE = "CUDA_VISIBLE_DEVICES"
CPUS = "DETKDS_CPUS"
"""The environment variable with the CPUs that a task asked for, as Kubernetes writes them, such as 4 or 500m."""


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES knows them; none on a CPU."""
    import torch

    names = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    return [names[place] if names else str(place) for place in range(torch.cuda.device_count())]


def dealt(count: int) -> Iterator[str]:
    """A GPU for each of `count` processes, in turn; empty where there is none."""
    return islice(cycle(gpus() or [""]), count)


def begin(device: str) -> None:
    """What such a process does first: take its GPU, before torch looks for any, and watch whether its parent lives."""
    if device:
        os.environ[VISIBLE] = device
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent(leave: Callable[[int], None] = os._exit) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        leave(Interrupted.exit_code)
