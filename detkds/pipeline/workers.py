"""Workers: the candidates of a study measured in several processes, one a GPU."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.queues import SimpleQueue

from detkds import plugins
from detkds.errors import DetKDSError, Interrupted
from detkds.genome import Recipe
from detkds.objective import Goal, Objective, Outcome
from detkds.pipeline import node_executor
from detkds.processes import at_once, begin, dealt
from detkds.search.study import Job


class Workers:
    """An objective that starts early: the study announces its next requests, and takes the results in that order.

    What was measured and not yet taken when the study is killed is measured again; with equal candidates that is one a worker.

    Args:
        pool: of processes that know the objective.
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._begun: deque[tuple[Job, Future[Outcome]]] = deque()

    def ahead(self, jobs: Sequence[Job]) -> None:
        """Begin to measure; of many jobs the first come first."""
        try:
            self._begun += [(job, self._pool.submit(_measure, *job)) for job in jobs]
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
        job, answer = self._begun.popleft()
        if job != (recipe, goal):
            raise DetKDSError(f"the study requests `{recipe}`, but announced `{job[0]}` first.")
        try:
            return answer.result()
        except BrokenProcessPool:
            raise _lost() from None


@contextmanager
def hired(count: int, build: Callable[[], Objective]) -> Iterator[Workers | None]:
    """Workers while the block runs; None for one worker, which this process is itself. In a job of several nodes its processes are the
    workers, see `node_executor`.

    They end at once where the block ends with an error, and when this process is killed.

    Args:
        count: of processes; 0: one per GPU that this process may use, or without a GPU one per CPU as far as the memory allows.
        build: makes the objective, once in each process; it pickles.
    """
    if (nodes := node_executor.nodes()) is not None:
        with nodes.executor(partial(_adopt, build)) as pool:
            yield Workers(pool)
        return
    count = count or at_once()
    if count == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    devices: SimpleQueue[str] = context.SimpleQueue()
    for device in dealt(count):
        devices.put(device)
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(count, context, _begin, (devices, build, count)) as pool:
        try:
            yield Workers(pool)
        except BaseException:  # Ctrl-C and SIGTERM too: workers in the middle of a training would hold the GPUs and the pool's exit
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                if process not in others:
                    process.kill()
            raise


_build: Callable[[], Objective] | None = None
_objective: Objective | None = None
"""Of a worker's process."""


def _begin(devices: SimpleQueue[str], build: Callable[[], Objective], count: int) -> None:
    global _build
    begin(devices.get(), count)
    _build = build


def _adopt(build: Callable[[], Objective]) -> None:
    """Make this process a worker with another objective."""
    global _build, _objective
    _build, _objective = build, None


def _measure(recipe: Recipe, goal: Goal) -> Outcome:
    global _objective
    if _objective is None:
        assert _build is not None
        plugins.inherit()
        _objective = _build()  # here and not before, so that its errors arrive as they are
    return _objective(recipe, goal)


def _lost() -> Interrupted:
    return Interrupted("a worker's process was killed, memory may have run out; start again to resume, with fewer workers if it recurs.")
