"""The store contract: implementations supply the verbs for one object, and artifacts are built on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from detkds.errors import ArtifactError
from detkds.storage.artifacts import building, verify, write_atomic
from detkds.storage.keys import join
from detkds.storage.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest

WORKERS = 8
"""Simultaneous transfers: small files wait for the response, not for bandwidth."""
PART_BYTES = 16 << 20
"""Larger files are stored in parts of this size."""
AHEAD = 4 * WORKERS
"""Transfers that are prepared, so that a hundred thousand files take no more memory than these."""


@dataclass(frozen=True)
class StoredObject:
    """One stored object: its key in the store, its size in bytes, a tag that changes with its content, when it was stored in Unix time."""

    key: str
    size: int
    etag: str
    modified: float = field(default=0.0, compare=False)


class Store(ABC):
    """Objects by key. Keys are relative, with forward slashes; an unsafe one is an ArtifactError before anything is touched.

    Every verb raises StoreError where the store cannot be reached or refuses, ArtifactError where an object is missing or altered.
    """

    @abstractmethod
    def uri(self, key: str = "") -> str:
        """How people write the place of `key`."""

    @abstractmethod
    def ensure_bucket(self) -> None:
        """Make the bucket or folder if it is missing; nothing else ever makes one."""

    @abstractmethod
    def put_bytes(self, data: bytes, key: str) -> None:
        """Store bytes wholly or not at all, replacing what was there."""

    @abstractmethod
    def get_bytes(self, key: str, limit: int | None = None) -> bytes:
        """The object's bytes; one of more than `limit` bytes is an ArtifactError before it is in memory."""

    @abstractmethod
    def put_file(self, path: Path, key: str) -> None:
        """Store a file wholly or not at all, replacing what was there."""

    @abstractmethod
    def get_file(self, key: str, path: Path) -> None:
        """Copy an object to a local file, which appears wholly or not at all."""

    @abstractmethod
    def stat(self, key: str) -> StoredObject | None:
        """Size and tag of an object, None where there is none."""

    @abstractmethod
    def list(self, prefix: str = "") -> list[StoredObject]:
        """Every object below the folder `prefix` ("" for all), sorted by key."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; one that does not exist is not an error."""

    def exchange(self, data: bytes, key: str, expected: str | None) -> str | None:
        """Store bytes where the object's tag is still `expected` (None: where there is no object).

        Returns:
            The new tag; None where the object is another, and nothing was stored. Look and write are one step only where the store can.
        """
        found = self.stat(key)
        if (found and found.etag) != expected:
            return None
        self.put_bytes(data, key)
        stored = self.stat(key)
        return stored.etag if stored else None

    def exists(self, key: str) -> bool:
        """Whether there is an object at `key`."""
        return self.stat(key) is not None

    def manifest(self, key: str) -> Manifest | None:
        """The checked manifest of the artifact at `key`, None where there is none."""
        at = join(key, MANIFEST)
        return Manifest.from_text(self.get_bytes(at, MAX_MANIFEST_BYTES), f"artifact {self.uri(key)}") if self.exists(at) else None

    def put_folder(self, folder: Path, key: str) -> Manifest:
        """Store a published artifact below `key`; its manifest is written last and is the commit.

        The same artifact is stored once: where it is already there, nothing is sent. Another artifact at `key` is taken out of force
        (its manifest goes first) before its files are replaced, so readers never see a mixture.

        Raises:
            ArtifactError: `folder` is not an intact artifact.
        """
        return self._put(folder, key, verify(folder))

    def put_tree(self, folder: Path, key: str, *, kind: str = "tree", meta: Mapping[str, Any] | None = None) -> Manifest:
        """Store a plain folder, such as a data set, as an artifact below `key`; see `put_folder`.

        Raises:
            ArtifactError: `folder` is missing, or has links, unsafe names or a manifest.json of its own.
        """
        if not folder.is_dir():
            raise ArtifactError(f"folder {folder} does not exist; correct the path.")
        return self._put(folder, key, Manifest.of(folder, kind, meta))

    def get_folder(self, key: str, folder: Path, kind: str | None = None) -> Manifest:
        """Bring the artifact at `key` to `folder`, verified; an artifact that is already there is replaced in one step.

        Raises:
            ArtifactError: no artifact at `key`, of another kind, or damaged; nothing is left of it then.
        """
        manifest = self.manifest(key)
        if manifest is None:
            raise ArtifactError(f"artifact {self.uri(key)} does not exist or was never finished; run the stage that makes it again.")
        with building(folder) as draft:
            in_parallel(lambda name: self.get_file(join(key, name), draft / name), manifest.files)
            write_atomic(draft / MANIFEST, manifest.to_text())
            return verify(draft, kind, name=self.uri(key))

    def _put(self, folder: Path, key: str, manifest: Manifest) -> Manifest:
        commit = join(key, MANIFEST)
        old = self._replaced(key)
        if old is not None and old.to_text() == manifest.to_text() and self._complete(key, manifest):
            return manifest
        self.delete(commit)
        in_parallel(lambda name: self.put_file(folder / name, join(key, name)), manifest.files)
        in_parallel(lambda name: self.delete(join(key, name)), old.files.keys() - manifest.files.keys() if old else ())
        self.put_bytes(manifest.to_text().encode(), commit)
        return manifest

    def _replaced(self, key: str) -> Manifest | None:
        try:
            return self.manifest(key)
        except ArtifactError:
            return None  # a damaged manifest does not matter here

    def _complete(self, key: str, manifest: Manifest) -> bool:
        sizes = {entry.key: entry.size for entry in self.list(key)}
        return all(sizes.get(join(key, name)) == entry.size for name, entry in manifest.files.items())


def in_parallel(work: Callable[[str], object], names: Iterable[str], done: Callable[[str], object] = lambda name: None) -> None:
    """Do `work` for every name on a few threads; the first error ends it and is raised, work not yet begun is dropped.

    Args:
        work: called with a name, in any order.
        names: read as they are needed.
        done: called with each name whose work is done, one at a time.
    """
    left, waiting = iter(names), dict[Future[object], str]()
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="detkds-store") as pool:
        try:
            while True:
                waiting |= {pool.submit(work, name): name for name in islice(left, AHEAD - len(waiting))}
                if not waiting:
                    return
                for job in wait(waiting, return_when=FIRST_COMPLETED).done:
                    job.result()
                    done(waiting.pop(job))
        except BaseException:  # without this, Ctrl-C would wait until all queued transfers are done
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def too_large(uri: str, limit: int) -> ArtifactError:
    """The error for an object of more bytes than it may have."""
    return ArtifactError(f"{uri} must have at most {limit} bytes, but has more; it is damaged: produce or store it again.")
