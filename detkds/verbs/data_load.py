"""`detkds data load`: a folder of the store onto a disk, such as a volume that the tasks of a cluster mount."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from detkds.errors import ArtifactError, ConfigError
from detkds.storage.artifacts import write_atomic
from detkds.storage.keys import join
from detkds.storage.store import Store, StoredObject, in_parallel
from detkds.storage.uri import is_s3, open_store

RECORD = ".detkds-loaded.json"
"""Beside the files: which version of each is here, as the store's tags, so that a changed file is brought again."""
BATCH = 500
"""Files between two lines of progress and two writings of the record."""


def data_load(source: str, folder: Path, console: Console) -> None:
    """Bring every object below `source` to `folder`; what is there already is not brought again. Files appear wholly or not at all.

    Args:
        source: an s3:// address, or the path of a folder.
        folder: where the files go, under the same relative names.
        console: where progress is shown.

    Raises:
        ConfigError: the source is a whole bucket's address or a scheme that is not supported.
        ArtifactError: nothing is there, or a name cannot be a file's.
        StoreError: the store cannot be reached or refuses.
    """
    if is_s3(source) and "/" not in source.removeprefix("s3://").rstrip("/"):
        raise ConfigError(f"{source} is a whole bucket; name a folder in it, as in {source.rstrip('/')}/data/coco.")
    store = open_store(source)
    objects = {entry.key: entry for entry in store.list()}
    if not objects:
        raise ArtifactError(f"{source} holds no file; correct the address, or put the data set there: detkds data push.")
    record = _record(folder)
    missing = [name for name, entry in objects.items() if not _is_here(folder, entry, record)]
    size_mb = sum(objects[name].size for name in missing) / 1e6
    console.print(f"{len(objects)} files, {len(objects) - len(missing)} here, {len(missing)} to bring ({size_mb:.0f} MB)")
    began = time.monotonic()
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        in_parallel(lambda name: _bring(store, objects[name], folder), batch)
        record |= {name: objects[name].etag for name in batch}
        write_atomic(folder / RECORD, json.dumps(record))
        console.print(f"{start + len(batch)}/{len(missing)} files, {time.monotonic() - began:.0f} s")


def _record(folder: Path) -> dict[str, str]:
    """The tags of earlier; none where the record cannot be read, which only costs bringing files again."""
    try:
        found = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_here(folder: Path, entry: StoredObject, record: Mapping[str, str]) -> bool:
    path = folder / join(entry.key)
    return record.get(entry.key) == entry.etag and path.is_file() and path.stat().st_size == entry.size


def _bring(store: Store, entry: StoredObject, folder: Path) -> None:
    path = folder / join(entry.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    store.get_file(entry.key, path)
    if path.stat().st_size != entry.size:
        raise ArtifactError(
            f"{store.uri(entry.key)} must have {entry.size} bytes, got {path.stat().st_size}; it changed meanwhile, load again."
        )
