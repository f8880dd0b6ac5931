"""NodeExecutor: calls made by the processes of a TrainJob, in the place of a pool of processes on one machine.

Work is handed out through torch's own key-value store, which torchrun brings. The first process submits, and makes calls itself while it
waits for answers; every other one takes the next call as soon as it is free. Calls and answers are signed, see `signed`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from detkds.errors import Interrupted
from detkds.pipeline.signed import sign, verified
from detkds.processes import begin, gpus

T = TypeVar("T")
LOOK_S, IDLE_S = 0.05, 0.25
"""Between two looks at the store, of the process that waits for answers and of those that wait for work, who all look at one place."""
BEAT_S = 5.0
SILENT_S = float(os.environ.get("DETKDS_SILENT_S") or 60)
"""How long a process that owes an answer may give no sign of life, in seconds."""
END = "end"


@dataclass
class Nodes:
    """The processes of a TrainJob that search together, seen from one of them.

    Args:
        store: torch's, shared by all.
        rank: 0 is the one that has designer and journal.
        size: how many there are.
    """

    store: Any
    rank: int
    size: int
    _round: int = field(default=0, init=False)

    @contextmanager
    def executor(self, prepare: Callable[[], None]) -> Iterator[NodeExecutor]:
        """Of the first process: calls that all processes make while the block runs, each after it has called `prepare` once."""
        self._round += 1
        place = f"round/{self._round}"
        self.store.set(place, sign(place, prepare))
        prepare()
        calls = _Calls(self.store, str(self._round), self.rank)
        yield NodeExecutor(calls)
        self.store.set(f"{self._round}/closed", b"1")

    def serve(self) -> None:
        """Of every other process: make calls until the first process ends.

        Raises:
            Interrupted: the first process, which holds the store, is gone.
        """
        from torch import distributed  # not before: who reads a run.yaml needs none

        try:
            with _beating(self.store, self.rank):
                while self._await_round():
                    calls = _Calls(self.store, str(self._round), self.rank)
                    while (number := calls.claim(self._is_over)) is not None:
                        calls.make(number)
                self.store.add("left", 1)
        except distributed.DistError:
            raise Interrupted("the process that holds the journal is gone; the search resumes from the journal: run again.") from None

    def end(self) -> None:
        """Of the first process: let the others go, and wait some seconds for them to have heard it."""
        self.store.set(END, b"1")
        until = time.monotonic() + 2 * BEAT_S
        while self.store.add("left", 0) < self.size - 1 and time.monotonic() < until:
            time.sleep(LOOK_S)

    def _await_round(self) -> bool:
        """Take part in the next round; False where there is none any more."""
        self._round += 1
        place = f"round/{self._round}"
        while not self.store.check([place]):
            if self.store.check([END]):
                return False
            time.sleep(IDLE_S)
        verified(place, self.store.get(place))()
        return True

    def _is_over(self) -> bool:
        return bool(self.store.check([f"{self._round}/closed"]) or self.store.check([END]))


class _Calls:
    """The numbered calls of one round in the store."""

    def __init__(self, store: Any, prefix: str, rank: int) -> None:
        self._store, self._prefix, self._rank = store, prefix, rank
        self.count = 0
        self._own: list[int] = []
        self._signs: dict[int, tuple[int, float]] = {}

    def _key(self, kind: str, number: int) -> str:
        return f"{self._prefix}/{kind}/{number}"

    def _set(self, kind: str, number: int, value: Any) -> None:
        place = self._key(kind, number)
        self._store.set(place, sign(place, value))

    def _get(self, kind: str, number: int) -> Any:
        place = self._key(kind, number)
        return verified(place, self._store.get(place))

    def put(self, call: tuple[Any, ...]) -> int:
        """Hand out a call; its number."""
        self._set("call", self.count, call)
        self.count += 1
        return self.count - 1

    def claim(self, is_over: Callable[[], bool]) -> int | None:
        """The next call, once there is one; None where there will be none."""
        number = int(self._store.add(f"{self._prefix}/next", 1)) - 1
        while not self._store.check([self._key("call", number)]):
            if is_over():
                return None
            time.sleep(IDLE_S)
        return number

    def make(self, number: int) -> None:
        """Make a call, and leave what came out, or the error that it ended with."""
        self._store.set(self._key("owner", number), str(self._rank))
        work, given = self._get("call", number)
        try:
            answer = (True, work(*given))
        except Exception as error:  # whatever it is, it is raised where the answer is taken
            answer = (False, error)
        self._set("answer", number, answer)

    def answer(self, number: int) -> Any:
        """What a call gave. Meanwhile this process makes calls that nobody has begun.

        Raises:
            Exception: the call's own.
            Interrupted: the process that makes it gives no sign of life.
        """
        while not self._store.check([self._key("answer", number)]):
            if (mine := self._unbegun()) is not None:
                self.make(mine)
            else:
                self._require_life(number)
                time.sleep(LOOK_S)
        good, found = self._get("answer", number)
        if not good:
            raise found
        return found

    def _unbegun(self) -> int | None:
        """A call for this process; one that it claimed a moment before somebody else took the last may be handed out later."""
        if int(self._store.add(f"{self._prefix}/next", 0)) < self.count:
            self._own.append(int(self._store.add(f"{self._prefix}/next", 1)) - 1)
        return next((self._own.pop(place) for place, number in enumerate(self._own) if number < self.count), None)

    def _require_life(self, number: int) -> None:
        key = self._key("owner", number)
        if not self._store.check([key]):
            return
        owner, now = int(self._store.get(key)), time.monotonic()
        if owner == self._rank:
            return
        beats = int(self._store.add(f"beat/{owner}", 0))
        before, since = self._signs.get(owner, (-1, now))
        if beats != before:
            self._signs[owner] = (beats, now)
        elif now - since > SILENT_S:
            raise Interrupted(f"process {owner} of the search gives no sign of life; the search resumes from its journal: run again.")


class NodeExecutor(Executor):
    """`submit` as of any executor; the answer of a future is waited for by working.

    Args:
        calls: of a round.
    """

    def __init__(self, calls: _Calls) -> None:
        self._calls = calls

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Hand out `fn(*args)`."""
        assert not kwargs
        return _Answer(self._calls, self._calls.put((fn, args)))


class _Answer(Future[T]):
    def __init__(self, calls: _Calls, number: int) -> None:
        super().__init__()
        self._calls, self._number = calls, number

    def result(self, timeout: float | None = None) -> T:
        found: T = self._calls.answer(self._number)
        return found


@contextmanager
def _beating(store: Any, rank: int) -> Iterator[None]:
    """Signs of life while the block runs."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_S):
            try:
                store.add(f"beat/{rank}", 1)
            except Exception:  # the store is gone: the block ends with the error
                return

    threading.Thread(target=beat, name="detkds-beat", daemon=True).start()
    try:
        yield
    finally:
        over.set()


_joined: list[Nodes] = []


@contextmanager
def joined() -> Iterator[Nodes]:
    """This process's place in the job that torchrun's environment names; it sees the GPU of its local rank only.

    While the block runs, `nodes()` gives it.
    """
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    local, here = int(os.environ.get("LOCAL_RANK", "0")), gpus()
    begin(here[local] if here else "", int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    store, rank, size = next(iter(rendezvous("env://")))
    _joined.append(Nodes(distributed.PrefixStore("detkds", store), int(rank), int(size)))  # type: ignore[attr-defined]
    try:
        yield _joined[-1]
    finally:
        _joined.pop()


def nodes() -> Nodes | None:
    """The processes that this one searches with; None where it is no part of a job."""
    return _joined[-1] if _joined else None
