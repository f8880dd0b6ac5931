"""Trainings in several processes, one per GPU."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from typing import TypeVar

from detkds import plugins
from detkds.errors import Interrupted
from detkds.experiments.training import Training, TrainingContext, train_and_evaluate
from detkds.pipeline.progress import columns
from detkds.processes import adopt, begin, dealt, server
from detkds.search.trial import Trial

_Entry = TypeVar("_Entry")


def finished_trials(context: TrainingContext, trainings: Iterator[tuple[_Entry, Training]], jobs: int) -> Iterator[tuple[_Entry, Trial]]:
    """The outcome of each training as it comes; at most `jobs` are begun. GPUs are given out in turn.

    Raises:
        Interrupted: a process was killed, for example because memory ran out.
    """
    processes = server()
    devices: SimpleQueue[str] = processes.SimpleQueue()
    for device in dealt(jobs):
        devices.put(device)
    with ProcessPoolExecutor(jobs, processes, _begin, (devices, jobs, dict(os.environ))) as pool:
        running: dict[Future[Trial], _Entry] = {}
        try:
            for entry, training in trainings:
                running[pool.submit(_train_and_evaluate, context, training)] = entry
                if len(running) == jobs:
                    yield from _next(running)
            while running:
                yield from _next(running)
        except BrokenProcessPool:
            raise Interrupted(
                "a training's process was killed, memory may have run out; the same command resumes, with fewer --jobs if it recurs."
            ) from None
        finally:
            if running:  # no need to wait for the others: they write their checkpoints and end
                for process in multiprocessing.active_children():
                    process.terminate()


def _next(running: dict[Future[Trial], _Entry]) -> Iterator[tuple[_Entry, Trial]]:
    ended, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in ended:
        yield running.pop(future), future.result()


def _begin(devices: SimpleQueue[str], jobs: int, environment: Mapping[str, str]) -> None:
    adopt(environment)
    begin(devices.get(), jobs)


def _train_and_evaluate(context: TrainingContext, training: Training) -> Trial:
    plugins.inherit()
    return train_and_evaluate(context, training, _print)


def _print(line: str) -> None:
    print(*columns(line), sep="", flush=True)
