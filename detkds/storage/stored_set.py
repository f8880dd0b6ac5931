"""A data set in a store: its files by name, with what is known of their content."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from detkds.errors import ArtifactError, DatasetError
from detkds.storage.artifacts import UNFINISHED
from detkds.storage.fetch import fetch
from detkds.storage.manifest import MANIFEST, file_sha256, short
from detkds.storage.push import MARK
from detkds.storage.uri import open_store

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SetFile:
    """One file of a stored set.

    Args:
        name: its key below the set's address.
        size: in bytes.
        sha256: by the index; None where the set has none.
        content: a word that is equal for files of equal content; of files without a sha256 only where the store's tags tell.
    """

    name: str
    size: int
    sha256: str | None
    content: str


class StoredSet:
    """Files below an s3:// address: those of its index, or, where other tools copied it there, of one listing.

    Attributes:
        uri: the address.
        indexed: whether there is an index, so that every file is known by its sha256.

    Raises:
        ArtifactError: nothing exists there, the index is damaged or hostile, or a push is not finished.
        StoreError: the store cannot be reached or refuses.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._store = open_store(self.uri)
        manifest = self._store.manifest("")
        self.indexed = manifest is not None
        if manifest is not None:
            self._files = {name: _indexed(uri, name, entry.size, entry.sha256) for name, entry in manifest.files.items()}
            return
        listed = {entry.key: entry for entry in self._store.list()}
        if MARK in listed:
            raise ArtifactError(f"{self.uri} is not whole: a push to it was not finished; run `detkds data push` again.")
        if not listed:
            raise ArtifactError(f"{self.uri} does not exist; correct the address, or put the data set there: detkds data push.")
        self._files = {name: _listed(name, entry.size, entry.etag) for name, entry in listed.items()}

    def file(self, folder: str, name: str) -> SetFile | None:
        """The file `name` of a folder of the set, both as people write them; None where there is none."""
        return self._files.get(posixpath.normpath(posixpath.join(folder, name)))

    def files(self, folder: str, names: Iterable[str]) -> dict[str, SetFile]:
        """Files of a folder by name.

        Raises:
            DatasetError: some do not exist; the message counts them and names the first.
        """
        found = {name: self.file(folder, name) for name in names}
        if missing := [name for name, entry in found.items() if entry is None]:
            where = f"{self.uri}/{folder}".rstrip("/")
            raise DatasetError(f"{len(missing)} of {len(found)} images are not in {where}, first {missing[0]!r}; push the set again.")
        return {name: entry for name, entry in found.items() if entry is not None}

    def __iter__(self) -> Iterator[SetFile]:
        """Every file of the set, by name."""
        return (self._files[name] for name in sorted(self._files))

    def copy(self, entry: SetFile, path: Path) -> None:
        """Bring one file to `path`, where it appears wholly and checked, or not at all.

        Raises:
            ArtifactError: it does not exist, or is not what the index, or the listing, says.
            StoreError: the store cannot be reached or refuses, or the disk is full.
        """
        draft = path.with_name(f".{path.name}{UNFINISHED}")
        try:
            self._store.get_file(entry.name, draft)
            size, digest = draft.stat().st_size, file_sha256(draft)
            if size != entry.size or entry.sha256 not in (None, digest):
                raise _altered(self.uri, entry, size, digest)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def fetch(self, name: str, cache: Path) -> Path:
        """The local path of one file, such as the annotations; it is brought once and checked each time.

        Raises:
            ArtifactError: it does not exist, or is not what the index says.
        """
        entry = self.file("", name)
        if entry is None:
            raise ArtifactError(f"{self.uri}/{name} does not exist; correct the name, or push the set again.")
        path = fetch(f"{self.uri}/{entry.name}", cache)
        if entry.sha256 is not None and (digest := file_sha256(path)) != entry.sha256:
            raise _altered(self.uri, entry, path.stat().st_size, digest)
        return path

    def read(self, entry: SetFile) -> bytes:
        """The bytes of a file that fits into memory.

        Raises:
            ArtifactError: it is not what the index, or the listing, says.
        """
        data = self._store.get_bytes(entry.name, entry.size)
        digest = hashlib.sha256(data).hexdigest()
        if len(data) != entry.size or entry.sha256 not in (None, digest):
            raise _altered(self.uri, entry, len(data), digest)
        return data


def _altered(uri: str, entry: SetFile, size: int, digest: str) -> ArtifactError:
    wanted = f"{entry.size} bytes" + (f" with sha256 {short(entry.sha256)}" if entry.sha256 else "")
    return ArtifactError(f"{uri}/{entry.name} must have {wanted}, got {size} bytes with {short(digest)}; push the set again.")


def _indexed(uri: str, name: str, size: int, sha256: str) -> SetFile:
    if not _SHA256.fullmatch(sha256):
        raise ArtifactError(f"{uri}: {MANIFEST} must have a sha256 for {name[:80]!r}, got {sha256[:80]!r}; push the set again.")
    return SetFile(name, size, sha256, sha256)


def _listed(name: str, size: int, tag: str) -> SetFile:
    return SetFile(name, size, None, hashlib.sha256(f"{size}\0{tag}".encode()).hexdigest())
