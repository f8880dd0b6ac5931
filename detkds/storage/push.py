"""A data set into a store: in parallel, resumable, its index last."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from detkds.errors import ArtifactError, DatasetError
from detkds.storage.manifest import MANIFEST, FileEntry, Manifest
from detkds.storage.meter import Meter
from detkds.storage.set_files import SetFiles
from detkds.storage.store import PART_BYTES, Store, StoredObject, in_parallel

KIND = "dataset"
MARK = ".detkds-push"
"""An object that exists from the first file sent until the index is written: a reader then knows that the set is not whole."""


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Args:
        sent, sent_size: files and bytes that went over the line.
        strangers: objects below the address that are not of the set; they stay.
        digest: of the set.
    """

    sent: int
    sent_size: int
    strangers: int
    digest: str


def push(folder: Path, files: SetFiles, store: Store, show: Callable[[Meter, bool], object]) -> Pushed:
    """Store the files of a folder below the store's address and write their index.

    A file that exists with the same size and checksum is not sent again, so a push that was killed resumes when it is called again.
    From the first file that is sent, the index of before is out of force.

    Args:
        folder: of the files.
        files: what of it is stored.
        store: at the set's address; its bucket exists.
        show: called after each file, with True where another tenth is done.

    Raises:
        DatasetError: a file changed while it was read.
        StoreError: the store cannot be reached or refuses.
    """
    return _Push(folder, files, store).run(show)


class _Push:
    def __init__(self, folder: Path, files: SetFiles, store: Store) -> None:
        self._folder, self._files, self._store = folder, files, store
        self._there: dict[str, StoredObject] = {entry.key: entry for entry in store.list()}
        self._old = _index(store) if MANIFEST in self._there else None
        self._entries: dict[str, FileEntry] = {}
        self._sent: list[int] = []
        self._begun = False
        self._beginning = Lock()

    def run(self, show: Callable[[Meter, bool], object]) -> Pushed:
        sizes = self._files.sizes
        meter = Meter(len(sizes), sum(sizes.values()))
        in_parallel(self._one, sizes, lambda name: show(meter, meter.add(sizes[name])))
        manifest = Manifest(KIND, dict(sorted(self._entries.items())), {})
        if self._begun or self._old is None or self._old.digest != manifest.digest:
            self._store.put_bytes(manifest.to_text().encode(), MANIFEST)
        if self._begun or MARK in self._there:
            self._store.delete(MARK)
        strangers = self._there.keys() - sizes.keys() - {MANIFEST, MARK}
        return Pushed(len(self._sent), sum(self._sent), len(strangers), manifest.digest)

    def _one(self, name: str) -> None:
        path = self._folder / name
        try:
            before = path.stat()
            entry, tag, data = _content(path)
            if not self._is_there(name, entry, tag):
                self._begin()
                if data is None:
                    self._store.put_file(path, name)
                else:
                    self._store.put_bytes(data, name)
                self._sent.append(entry.size)
            after = path.stat()
        except OSError as error:
            raise DatasetError(f"{path} must be readable, got: {error.strerror}; correct its rights or put it back.") from None
        if (before.st_size, before.st_mtime_ns, entry.size) != (after.st_size, after.st_mtime_ns, before.st_size):
            raise DatasetError(f"{path} changed while it was read; push again when nothing writes into the data set.")
        self._entries[name] = entry

    def _is_there(self, name: str, entry: FileEntry, tag: str) -> bool:
        """By the tag, which is the content's MD5 in most stores; else by the index of an earlier push."""
        found = self._there.get(name)
        if found is None or found.size != entry.size:
            return False
        return found.etag == tag or (self._old is not None and self._old.files.get(name) == entry)

    def _begin(self) -> None:
        with self._beginning:
            if not self._begun:
                self._store.put_bytes(b"A push of this data set is not finished; run it again.\n", MARK)
                self._store.delete(MANIFEST)
                self._begun = True


def _index(store: Store) -> Manifest | None:
    try:
        return store.manifest("")
    except ArtifactError:
        return None  # a damaged index is useless; it is written again


def _content(path: Path) -> tuple[FileEntry, str, bytes | None]:
    """Size and sha256 of a file, the tag that S3 gives it, and the bytes themselves where they are one part."""
    whole, tags, size, data = hashlib.sha256(), list[bytes](), 0, b""
    with path.open("rb") as handle:
        while block := handle.read(PART_BYTES):
            whole.update(block)
            tags.append(hashlib.md5(block, usedforsecurity=False).digest())
            size, data = size + len(block), block
    entry = FileEntry(size, whole.hexdigest())
    if len(tags) > 1:
        return entry, f"{hashlib.md5(b''.join(tags), usedforsecurity=False).hexdigest()}-{len(tags)}", None
    return entry, hashlib.md5(data, usedforsecurity=False).hexdigest(), data
