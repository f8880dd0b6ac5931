"""Mirror: a few files of a folder, kept in a store as well, from which another machine resumes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detkds.errors import ArtifactError
from detkds.storage.artifacts import write_atomic
from detkds.storage.keys import join
from detkds.storage.manifest import file_sha256, short
from detkds.storage.store import Store

POINTER = ".json"
"""A large file's manifest lies beside it: the name of its object, which holds the content's sha256, its size, and when it was retired."""
KEPT_S = 7 * 24 * 3600.0
"""How long a retired file is kept, in case what was made of it is lost with its machine."""


class Mirror:
    """Files of `folder` that are also objects below `key` of a store. One process writes at a time (see `Lease`).

    A small file grows and is one object, uploaded as a whole: an object is either complete or absent. A large file goes up under a new name
    first and its manifest last, so an upload that breaks off leaves the one before in force.

    Args:
        store: where the mirror lies.
        key: folder of the objects.
        folder: of the files; it exists.
    """

    def __init__(self, store: Store, key: str, folder: Path) -> None:
        self._store, self._key, self._folder = store, key, folder
        self._sent: dict[str, tuple[int, int]] = {}

    def fetch(self, name: str, check: Callable[[Path], object] | None = None) -> None:
        """Bring a small file where the store has more of it than the folder, counting whole lines.

        Args:
            name: of the file.
            check: raises ArtifactError for a damaged file, which then does not replace the folder's.

        Raises:
            ArtifactError: the store's file is damaged; the message names its address.
        """
        key, path = join(self._key, name), self._folder / name
        if not self._store.exists(key):
            return
        data = self._store.get_bytes(key)
        if len(data) > (path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0):
            draft = path.with_name(f".{name}.fetched")
            write_atomic(draft, data)
            try:
                if check is not None:
                    check(draft)
            except ArtifactError as error:
                draft.unlink()
                raise ArtifactError(str(error).replace(str(draft), self._store.uri(key))) from None
            draft.replace(path)
            self._sent[name] = _state(path)

    def lines(self, name: str) -> int | None:
        """How many whole lines the store has of a small file; None where there is none."""
        key = join(self._key, name)
        return self._store.get_bytes(key).count(b"\n") if self._store.exists(key) else None

    def put(self, name: str) -> None:
        """Store a small file, unless it is as it was put before, or absent."""
        path = self._folder / name
        if path.exists() and self._sent.get(name) != _state(path):
            state = _state(path)
            self._store.put_bytes(path.read_bytes(), join(self._key, name))
            self._sent[name] = state

    def fetch_large(self, name: str) -> None:
        """Bring a large file, unless the folder's is the one that was put last, or newer.

        Raises:
            ArtifactError: the store's file is damaged.
        """
        pointer, path = self._pointer(name), self._folder / name
        if pointer is None or (path.exists() and pointer["object"] == self._known(name)):
            return
        key = join(self._key, pointer["object"])
        self._store.get_file(key, path)
        if path.stat().st_size != pointer["size"] or (digest := file_sha256(path)) != pointer["sha256"]:
            got = f"{path.stat().st_size} bytes" if path.stat().st_size != pointer["size"] else f"sha256 {short(digest)}"
            path.unlink()
            wanted = f"{pointer['size']} bytes with sha256 {short(pointer['sha256'])}"
            raise ArtifactError(f"{self._store.uri(key)} must have {wanted}, got {got}; delete it and its manifest to start again.")
        self._remember(name, pointer)
        self._sent[name] = _state(path)

    def put_large(self, name: str) -> None:
        """Store a large file, unless it is absent or as it was put before; those before it are deleted."""
        path = self._folder / name
        if not path.exists() or self._sent.get(name) == _state(path):
            return
        state, digest = _state(path), file_sha256(path)
        pointer: dict[str, Any] = {"object": f"{name}.{digest[:16]}", "sha256": digest, "size": state[0], "retired": None}
        self._store.put_file(path, join(self._key, pointer["object"]))
        self._point(name, pointer)
        for entry in self._store.list(self._key):
            file = entry.key.rpartition("/")[2]
            if file.startswith(f"{name}.") and file not in (pointer["object"], name + POINTER):
                self._store.delete(entry.key)
        self._sent[name] = state

    def retire(self, name: str) -> None:
        """Say that a large file is not needed any more, and delete those of the whole store that were retired a week ago."""
        if pointer := self._pointer(name):
            self._point(name, {**pointer, "retired": time.time()})
        for entry in self._store.list():
            folder, _, file = entry.key.rpartition("/")
            if file == name + POINTER and time.time() - entry.modified > KEPT_S:
                old = json.loads(self._store.get_bytes(entry.key))
                if old["retired"] is not None:
                    self._store.delete(entry.key)
                    self._store.delete(join(folder, old["object"]))

    def _pointer(self, name: str) -> dict[str, Any] | None:
        key = join(self._key, name + POINTER)
        if not self._store.exists(key):
            return None
        try:
            pointer = json.loads(self._store.get_bytes(key))
            return {**pointer, "object": str(pointer["object"]), "sha256": str(pointer["sha256"]), "size": int(pointer["size"])}
        except (ValueError, LookupError, TypeError):
            raise ArtifactError(f"{self._store.uri(key)} is damaged; delete it to start again.") from None

    def _point(self, name: str, pointer: dict[str, Any]) -> None:
        self._store.put_bytes(json.dumps(pointer).encode(), join(self._key, name + POINTER))
        self._remember(name, pointer)

    def _known(self, name: str) -> str | None:
        path = self._folder / (name + POINTER)
        return str(json.loads(path.read_bytes())["object"]) if path.exists() else None

    def _remember(self, name: str, pointer: dict[str, Any]) -> None:
        write_atomic(self._folder / (name + POINTER), json.dumps(pointer))


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
