"""StudyLock: one process a study."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
from pathlib import Path
from weakref import WeakSet

from detkds.errors import ArtifactError, StudyHeldError


class StudyLock:
    """An flock on `<journal>.lock`; the kernel lets go when the process ends, however it ends.

    Args:
        journal: path of the study's journal; its folder exists.

    Raises:
        StudyHeldError: another process, or another journal in this one, holds the study; the message names the process.
        ArtifactError: the lock file cannot be opened.
    """

    def __init__(self, journal: Path) -> None:
        path = journal.with_name(journal.name + ".lock")
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ArtifactError(f"the lock {path} cannot be opened: {error.strerror}; choose a folder that can be written.") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(self._fd)
            raise StudyHeldError(f"the study {journal} is held by {holder}; wait for it to end, or stop it.") from None
        with contextlib.suppress(OSError):  # a full disk costs the name only
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
        _held.add(self)

    def release(self) -> None:
        """Let go, also of what a forked child may still have open. Again: nothing happens."""
        if self in _held:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self._close()

    def _close(self) -> None:
        _held.discard(self)
        os.close(self._fd)


_held: WeakSet[StudyLock] = WeakSet()


def _forget() -> None:
    """A forked child, such as a data loader's worker that outlives its killed parent, must not keep the lock of the study."""
    for lock in list(_held):
        lock._close()


os.register_at_fork(after_in_child=_forget)
