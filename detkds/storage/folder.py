"""A store in a plain folder: what runs on one machine use where no S3 is named."""

from __future__ import annotations

import shutil
from pathlib import Path

from detkds.errors import ArtifactError, StoreError
from detkds.storage.artifacts import UNFINISHED, writing
from detkds.storage.keys import safe_key
from detkds.storage.store import Store, StoredObject, too_large


class FolderStore(Store):
    """Objects are files below `root`; links that lead out of it are refused.

    Args:
        root: the folder; it stands for a bucket, so only `ensure_bucket` makes it.
        prefix: a key that all keys are below, as a store at s3://bucket/prefix has one.
    """

    def __init__(self, root: Path, prefix: str = "") -> None:
        self._root, self._prefix = Path(root), prefix

    def __repr__(self) -> str:
        return f"FolderStore({self.uri()!r})"

    def uri(self, key: str = "") -> str:
        return str(self._root / self._prefix / key)

    def ensure_bucket(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)

    def put_bytes(self, data: bytes, key: str) -> None:
        with writing(self._place(key)) as target:
            target.write(data)

    def get_bytes(self, key: str, limit: int | None = None) -> bytes:
        path = self._present(key)
        if limit is not None and path.stat().st_size > limit:
            raise too_large(self.uri(key), limit)
        return path.read_bytes()

    def put_file(self, path: Path, key: str) -> None:
        with path.open("rb") as source, writing(self._place(key)) as target:
            shutil.copyfileobj(source, target)

    def get_file(self, key: str, path: Path) -> None:
        with self._present(key).open("rb") as source, writing(path) as target:
            shutil.copyfileobj(source, target)

    def stat(self, key: str) -> StoredObject | None:
        place = self._place(key)
        if not place.is_file():
            return None
        found = place.stat()
        return StoredObject(key, found.st_size, f"{found.st_size:x}-{found.st_mtime_ns:x}", found.st_mtime)

    def list(self, prefix: str = "") -> list[StoredObject]:
        top = self._top()
        below = self._place(prefix) if prefix else top
        names = (path.relative_to(top).as_posix() for path in below.rglob("*") if not path.name.endswith(UNFINISHED))
        return [found for found in map(self.stat, sorted(names)) if found]

    def delete(self, key: str) -> None:
        self._place(key).unlink(missing_ok=True)

    def _present(self, key: str) -> Path:
        place = self._place(key)
        if not place.is_file():
            raise ArtifactError(f"{self.uri(key)} does not exist; correct the name, or run the stage that makes it.")
        return place

    def _place(self, key: str) -> Path:
        top = self._top()
        place = (top / safe_key(key)).resolve()
        if not place.is_relative_to(top):
            raise ArtifactError(f"{self.uri(key)} leads out of the store by a link; remove the link.")
        return place

    def _top(self) -> Path:
        """The folder that keys are relative to; the root must exist, a prefix need not."""
        if not self._root.is_dir():
            raise StoreError(f"the store's folder {self._root} does not exist; make it, or correct the path.")
        return (self._root / safe_key(self._prefix)).resolve() if self._prefix else self._root.resolve()
