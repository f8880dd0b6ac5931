"""Where a stage works: its home folder, local copies of what is in the store, and a place to resume from after a crash."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from detkds import __version__
from detkds.errors import StudyHeldError
from detkds.pipeline.progress import say
from detkds.pipeline.task import JOURNAL
from detkds.storage.fetch import fetch
from detkds.storage.lease import Lease
from detkds.storage.mirror import Mirror
from detkds.storage.uri import is_s3, open_store

LEASE = "lease.json"
LOOK_S = 5.0
"""How often a process that waits for another looks again."""
T = TypeVar("T")


def home() -> Path:
    """The folder for caches and unfinished work: DETKDS_HOME, or `.detkds` here."""
    return Path(os.environ.get("DETKDS_HOME", ".detkds")).resolve()


def digests_folder() -> Path:
    """Where the digests of files that are read in place are kept."""
    return home() / "cache" / "digests"


def local(address: str) -> Path:
    """The local path of a file or folder; the content of an s3:// address is fetched and verified once."""
    return fetch(address, home() / "cache")


class Workplace:
    """A folder that is the same for the same inputs, so that a stage that was killed resumes where it stopped.

    Where `work` is an s3:// address, the files that a stage names have a mirror there, under the same key. A pod that starts with an empty
    folder fetches them and goes on. `with` holds the place: of two pods one works, and the other waits, says how far it is, and then goes
    on from what it left, which is usually all.

    Args:
        stage: first part of the folder's name.
        inputs: everything that decides what comes out; plain values and dataclasses.
        work: where unfinished work lies: an s3:// address, a folder, or empty for `work` below `home()`.

    Attributes:
        folder: local; it exists.

    Raises:
        StudyHeldError: (by `put` and `put_checkpoint`) another process took the place over, because this one was silent for too long.
        StoreError: the store cannot be reached or refuses; what was done is in `folder`.
    """

    def __init__(self, stage: str, inputs: Mapping[str, Any], work: str = "") -> None:
        key = f"{stage}-{digest({'version': __version__, **inputs})[:16]}"
        mirrored = is_s3(work)
        self.folder = (Path(work) if work and not mirrored else home() / "work") / key
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stage = stage
        self._mirror: Mirror | None = None
        self._lease: Lease | None = None
        self._held: Lease | None = None
        if mirrored:
            store = open_store(work)
            store.ensure_bucket()
            self._mirror = Mirror(store, key, self.folder)
            self._lease = Lease(store, f"{key}/{LEASE}")

    def __enter__(self) -> Workplace:
        if self._lease is not None:
            self._held = patiently(self._lease.__enter__, self._stage, self._count)
        return self

    def _count(self) -> str:
        """How far the process is that works here; empty where its journal does not say."""
        if self._mirror is None or (lines := self._mirror.lines(JOURNAL)) is None:
            return ""
        return f"{max(0, lines - 1)} records in its journal"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._held is not None:
            self._held.__exit__(kind, error, trace)

    def fetch(self, name: str, check: Callable[[Path], object] | None = None) -> Path:
        """The path of a small file, brought from the mirror where that has more lines of it; `check` refuses a damaged one."""
        if self._mirror is not None:
            self._mirror.fetch(name, check)
        return self.folder / name

    def put(self, *names: str) -> None:
        """Bring small files to the mirror where they changed."""
        if self._mirror is not None:
            self._confirm()
            for name in names:
                self._mirror.put(name)

    def fetch_checkpoint(self, name: str) -> Path:
        """The path of a large file, brought from the mirror where another pod went further."""
        if self._mirror is not None:
            self._mirror.fetch_large(name)
        return self.folder / name

    def put_checkpoint(self, name: str) -> None:
        """Bring a large file to the mirror where it changed."""
        if self._mirror is not None:
            self._confirm()
            self._mirror.put_large(name)

    def retire(self, name: str) -> None:
        """A large file is not needed any more. Here it is deleted at once; its copy in the mirror is kept a week, see `Mirror.retire`."""
        (self.folder / name).unlink(missing_ok=True)
        if self._mirror is not None:
            self._mirror.retire(name)

    def _confirm(self) -> None:
        if self._held is not None:
            self._held.confirm()


def patiently(enter: Callable[[], T], title: str, count: Callable[[], str] = lambda: "", why: str = "takes what it found") -> T:
    """What `enter` returns once no other process holds the study; meanwhile one line says who does, and one each time it got further.

    Args:
        enter: raises StudyHeldError while another process is at work.
        title: of the lines.
        count: how far the other is.
        why: what comes after the waiting.
    """
    waiting, shown = False, ""
    while True:
        try:
            return enter()
        except StudyHeldError as error:
            if not waiting:
                say(title, f"{str(error).partition(';')[0]}; waits for it and {why}")
            waiting = True
        if (found := count()) and found != shown:
            say(title, f"waits: {found}")
        shown = found
        time.sleep(LOOK_S)


def digest(value: Any) -> str:
    """sha256 of plain values, dataclasses included."""
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, anything else that JSON does not know as text."""

    def known(item: Any) -> Any:
        return asdict(item) if is_dataclass(item) and not isinstance(item, type) else str(item)

    return json.loads(json.dumps(value, default=known))
