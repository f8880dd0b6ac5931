"""Bouts in several processes, one a GPU."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from typing import TypeVar

from detkds.errors import Interrupted
from detkds.processes import begin, dealt
from detkds.search.trial import Trial
from detkds.stages.bout import Arena, Bout, fight
from detkds.stages.progress import columns

_Entry = TypeVar("_Entry")


def fought(arena: Arena, bouts: Iterator[tuple[_Entry, Bout]], jobs: int) -> Iterator[tuple[_Entry, Trial]]:
    """The outcome of each bout as it comes; at most `jobs` are begun. GPUs are given out in turn.

    Raises:
        Interrupted: a process was killed, for example because memory ran out.
    """
    context = multiprocessing.get_context("spawn")
    devices: SimpleQueue[str] = context.SimpleQueue()
    for device in dealt(jobs):
        devices.put(device)
    with ProcessPoolExecutor(jobs, context, _begin, (devices,)) as pool:
        running: dict[Future[Trial], _Entry] = {}
        try:
            for entry, bout in bouts:
                running[pool.submit(_fight, arena, bout)] = entry
                if len(running) == jobs:
                    yield from _next(running)
            while running:
                yield from _next(running)
        except BrokenProcessPool:
            raise Interrupted(
                "a training's process was killed, memory may have run out; the same command goes on, with fewer --jobs."
            ) from None
        finally:
            if running:  # nobody waits for the others: they write their checkpoints and end
                for process in multiprocessing.active_children():
                    process.terminate()


def _next(running: dict[Future[Trial], _Entry]) -> Iterator[tuple[_Entry, Trial]]:
    ended, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in ended:
        yield running.pop(future), future.result()


def _begin(devices: SimpleQueue[str]) -> None:
    begin(devices.get())


def _fight(arena: Arena, bout: Bout) -> Trial:
    return fight(arena, bout, _print)


def _print(line: str) -> None:
    print(*columns(line), sep="", flush=True)
