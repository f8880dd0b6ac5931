"""sha256 of many files, each computed once as long as the file stays as it is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson

from detkds.errors import ArtifactError, StoreError
from detkds.storage.artifacts import write_atomic

THREADS = 8
_SETTLED_NS = 2_000_000_000  # a file changed more lately may change again within one tick of its clock


class ContentDigests:
    """The digests of the files below one folder.

    They are kept beside length, inode and the times of the last change of content and of the inode; the latter no copy or archive tool can
    set back. A file of which any of these differs is read again.

    Args:
        root: the folder.
        cache: where the digests of all such folders are kept.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        self._root = root
        self._file = cache / f"{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:32]}.json"
        self._known: dict[str, list[object]] = {}
        self._read = False

    def digest(self, names: Iterable[str]) -> str:
        """sha256 of names and contents of files below the root, in whatever order they are given.

        Raises:
            ArtifactError: a file does not exist or cannot be read.
        """
        wanted = sorted(set(names))
        if not self._read:
            self._known, self._read = _load(self._file), True
        with ThreadPoolExecutor(THREADS) as threads:
            found = dict(zip(wanted, threads.map(self._entry, wanted), strict=True))
        fresh = {name: entry for name, entry in found.items() if self._known.get(name) != entry}
        if fresh:
            self._known |= fresh
            self._save()
        whole = hashlib.sha256()
        for name, entry in found.items():
            whole.update(f"{name}\0{entry[-1]}\n".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()

    def digest_of_folder(self, folder: str) -> str:
        """sha256 of all files below a folder of the root, links to folders left out."""
        return self.digest(
            os.path.relpath(os.path.join(place, name), self._root) for place, _, names in os.walk(self._root / folder) for name in names
        )

    def _entry(self, name: str) -> list[object]:
        """Length, inode, times and sha256 of a file; without the times where it changed so lately that they prove nothing."""
        path = self._root / name
        try:
            mark = _mark(path)
            known = self._known.get(name)
            if known is not None and known[:-1] == mark:
                return known
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ArtifactError(f"{path} must be readable, got: {error.strerror}; put it back or correct its rights.") from None
        settled = max(mark[2:]) < time.time_ns() - _SETTLED_NS
        return [*(mark if settled else []), content]

    def _save(self) -> None:
        # On a full or read-only disk, or with a name that is not Unicode, the files are read again next time.
        with contextlib.suppress(OSError, StoreError, TypeError):
            write_atomic(self._file, orjson.dumps({name: entry for name, entry in self._known.items() if len(entry) > 1}))


def _mark(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]


def _load(file: Path) -> dict[str, list[object]]:
    try:
        known = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
