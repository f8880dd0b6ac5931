"""Workers: the candidates of a study measured in several processes, one a GPU, each a cohort at a time."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.queues import SimpleQueue

from detkds import plugins
from detkds.errors import DetKDSError, Interrupted
from detkds.genome import Recipe
from detkds.objective import Answer, Goal, Job, Objective, Outcome, outcome, together
from detkds.pipeline import node_executor
from detkds.pipeline.cohorts import Cohorts, cohorts
from detkds.processes import adopt, at_once, begin, dealt, server


class Workers:
    """An objective that starts early: the study announces its next requests, and takes the results in that order.

    What was measured and not yet taken when the study is killed is measured again; with equal candidates that is one cohort a worker.

    Args:
        pool: of processes that know the objective.
        count: of them.
        cohort: how many candidates one of them trains side by side.
    """

    def __init__(self, pool: Executor, count: int, cohort: int = 1) -> None:
        self._pool, self._count, self._cohort = pool, count, cohort
        self._begun: deque[tuple[Job, Future[list[Answer]], int]] = deque()

    def ahead(self, jobs: Sequence[Job]) -> None:
        """Begin to measure; of many jobs the first come first."""
        try:
            for part in cohorts(jobs, self._cohort, self._count):
                answers = self._pool.submit(_measure, part)
                self._begun += [(job, answers, place) for place, job in enumerate(part)]
        except BrokenProcessPool:
            raise _lost() from None

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        """The result of the next job.

        Raises:
            Rejected: the candidate cannot work.
            Interrupted: a process was killed, for example because the machine's memory ran out.
        """
        if not self._begun:
            self.ahead([(recipe, goal)])
        job, answers, place = self._begun.popleft()
        if job != (recipe, goal):
            raise DetKDSError(f"the study requests `{recipe}`, but announced `{job[0]}` first.")
        try:
            return outcome(answers.result()[place])
        except BrokenProcessPool:
            raise _lost() from None


def get_ready(count: int = 0) -> None:
    """Let what all workers need be imported in the background, while this process imports it itself; nothing where it works alone.

    Args:
        count: of processes, as of `hired`.
    """
    if node_executor.nodes() is None and (count or at_once()) > 1:
        server()


@contextmanager
def hired(count: int, build: Callable[[], Objective], cohort: int = 1, here: Objective | None = None) -> Iterator[Workers | Cohorts]:
    """What measures a study's candidates while the block runs: workers, or this process itself where one is enough. In a job of several
    nodes its processes are the workers, see `node_executor`.

    They end at once where the block ends with an error, and when this process is killed.

    Args:
        count: of processes; 0: one per GPU that this process may use, or without a GPU one per CPU as far as the memory allows.
        build: makes the objective, once in each process; it pickles.
        cohort: how many candidates a process trains side by side.
        here: the objective of this process; None builds it where it is needed.
    """
    if (nodes := node_executor.nodes()) is not None:
        with nodes.executor(partial(_adopt, build)) as pool:
            yield Workers(pool, nodes.size, cohort)
        return
    count = count or at_once()
    if count == 1:
        yield Cohorts(build() if here is None else here, cohort)
        return
    context = server()
    devices: SimpleQueue[str] = context.SimpleQueue()
    for device in dealt(count):
        devices.put(device)
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(count, context, _begin, (devices, build, count, dict(os.environ))) as pool:
        try:
            yield Workers(pool, count, cohort)
        except BaseException:  # Ctrl-C and SIGTERM too: workers in the middle of a training would hold the GPUs and the pool's exit
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                if process not in others:
                    process.kill()
            raise


_build: Callable[[], Objective] | None = None
_objective: Objective | None = None
"""Of a worker's process."""


def _begin(devices: SimpleQueue[str], build: Callable[[], Objective], count: int, environment: Mapping[str, str]) -> None:
    global _build
    adopt(environment)
    begin(devices.get(), count)
    _build = build


def _adopt(build: Callable[[], Objective]) -> None:
    """Make this process a worker with another objective."""
    global _build, _objective
    _build, _objective = build, None


def _measure(jobs: Sequence[Job]) -> list[Answer]:
    global _objective
    if _objective is None:
        assert _build is not None
        plugins.inherit()
        _objective = _build()  # here and not before, so that its errors arrive as they are
    return together(_objective, jobs)


def _lost() -> Interrupted:
    return Interrupted("a worker's process was killed, memory may have run out; start again to resume, with fewer workers if it recurs.")
