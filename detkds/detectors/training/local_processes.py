"""The processes of a training group on this machine, started, watched and ended as one."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from types import FrameType
from typing import Any, TypeVar

from torch import distributed

from detkds import plugins
from detkds.detectors.training.parallel import joined
from detkds.errors import DetKDSError, Interrupted
from detkds.processes import VISIBLE, adopt, dealt, server

T = TypeVar("T")
GRACE_S = 20.0
"""How long a member may take to bring its work to safety after another was stopped by SIGTERM; Kubernetes gives a pod 30 s in all."""


@dataclass(frozen=True)
class _Member:
    process: ForkServerProcess
    answers: Connection


@dataclass(frozen=True)
class _Line:
    """What a member shows."""

    text: str


def run_in_processes(size: int, task: Callable[..., T], show: Callable[[str], None] | None = None) -> T:
    """Run a task in `size` processes of one group, one per GPU, and return what it returns in the first.

    SIGTERM is passed on to all of them. If one fails or is killed, the others end as well; if this process is killed, they end at once.

    Args:
        task: takes the group; pickles, and so does what it returns.
        show: called here with each line that a process passes to the `show` which the task then takes too.

    Raises:
        DetKDSError: that of the member that failed first.
        Interrupted: SIGTERM came, or a member was killed, for example because memory ran out.
    """
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    context = server()
    members: list[_Member] = []
    with _forwarding(members):
        try:
            for rank, device in enumerate(dealt(size)):
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(
                    target=_member, args=(sender, rank, size, store.port, device, dict(os.environ), show is not None, task)
                )
                process.start()
                sender.close()
                members.append(_Member(process, receiver))
            found: T = _answers(members, show)[0]
            return found
        finally:
            for member in members:
                member.process.kill()
                member.process.join()


def _answers(members: Sequence[_Member], show: Callable[[str], None] | None) -> list[Any]:
    """What each member returned; lines are shown as they come.

    Raises:
        DetKDSError: of the first that failed.
    """
    answers: dict[int, Any] = {}
    failure: DetKDSError | None = None
    end = math.inf
    while len(answers) < len(members) and time.monotonic() < end:
        left = {member.answers: rank for rank, member in enumerate(members) if rank not in answers}
        for connection in wait(list(left), None if end == math.inf else max(0.0, end - time.monotonic())):
            rank = left[connection]  # type: ignore[index]
            answer, reported = _answer(members[rank])
            if isinstance(answer, _Line):
                if show is not None:
                    show(answer.text)
                continue
            answers[rank] = answer
            if failure is None and isinstance(answer, DetKDSError):
                failure = answer
                end = time.monotonic() + (GRACE_S if reported and isinstance(answer, Interrupted) else 0.0)
    if failure is not None:
        first = answers.get(0)  # of all that were stopped it alone knows the checkpoint
        raise first if isinstance(first, Interrupted) and isinstance(failure, Interrupted) else failure
    return [answers[rank] for rank in range(len(members))]


def _answer(member: _Member) -> tuple[Any, bool]:
    """What a member returned or shows, or its error; and whether it reported that itself."""
    try:
        return member.answers.recv(), True
    except EOFError:
        member.process.join()
    code = member.process.exitcode or 0
    if code < 0:
        name = signal.Signals(-code).name
        return Interrupted(f"a process of the training was ended by {name}, memory may have run out; run again."), False
    return DetKDSError(f"a process of the training ended with code {code}; what it said is above."), False


@contextmanager
def _forwarding(members: Sequence[_Member]) -> Iterator[None]:
    """SIGTERM goes to the members, who know what to do, and not to this process."""

    def on_term(number: int, frame: FrameType | None) -> None:
        for member in members:
            member.process.terminate()

    try:
        previous = signal.signal(signal.SIGTERM, on_term)
    except ValueError:  # not the main thread, which alone may do this: SIGTERM keeps its meaning
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _member(
    sender: Connection,
    rank: int,
    size: int,
    port: int,
    device: str,
    environment: Mapping[str, str],
    showing: bool,
    task: Callable[..., Any],
) -> None:
    """The environment is that of torchrun, whose agent also keeps the store; only the one GPU is seen, so the local rank is 0."""
    of_torchrun = {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
    }
    adopt({**environment, **of_torchrun, **({VISIBLE: device} if device else {})})

    def show(line: str) -> None:
        sender.send(_Line(line))

    with joined() as group:
        try:
            plugins.inherit()
            answer = task(group, show=show) if showing else task(group)
        except DetKDSError as error:
            answer = error
        sender.send(answer)
