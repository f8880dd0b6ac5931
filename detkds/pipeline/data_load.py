"""`detkds data load`: a data set of the store onto a disk, such as a volume that the tasks of a cluster mount."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from detkds.errors import ConfigError
from detkds.storage.artifacts import write_atomic
from detkds.storage.keys import safe_key
from detkds.storage.store import in_parallel
from detkds.storage.stored_set import SetFile, StoredSet
from detkds.storage.uri import is_s3

RECORD = ".detkds-loaded.json"
"""Beside the files: which content of each is here, so that a changed file is brought again."""
BATCH = 500
"""Files between two lines of progress and two writings of the record."""


def data_load(source: str, folder: Path, console: Console) -> None:
    """Bring every file of a data set to `folder`; what exists already is not brought again. Files appear wholly or not at all.

    Each file that is brought is compared with the sha256 of the set's index; of a set without one, as other tools leave it, with its size.

    Args:
        source: an s3:// address, or the path of a folder.
        folder: where the files go, under the same relative names.
        console: where progress is shown.

    Raises:
        ConfigError: the source is a whole bucket's address or a scheme that is not supported.
        ArtifactError: nothing exists there, a push to it is not finished, a file is not what the index says, or a name cannot be a file's.
        StoreError: the store cannot be reached or refuses, or the disk is full.
    """
    if is_s3(source) and "/" not in source.removeprefix("s3://").rstrip("/"):
        raise ConfigError(f"{source} is a whole bucket; name a folder in it, as in {source.rstrip('/')}/data/coco.")
    stored = StoredSet(source)
    files = {safe_key(entry.name): entry for entry in stored}
    record = _record(folder)
    missing = [name for name, entry in files.items() if not _is_here(folder, entry, record)]
    size_mb = sum(files[name].size for name in missing) / 1e6
    how = "compared by sha256" if stored.indexed else "compared by size, for the set has no index"
    console.print(f"{len(files)} files, {len(files) - len(missing)} here, {len(missing)} to bring ({size_mb:.0f} MB), {how}")
    began = time.monotonic()
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        in_parallel(lambda name: stored.copy(files[name], folder / name), batch)
        record |= {name: files[name].content for name in batch}
        write_atomic(folder / RECORD, json.dumps(record))
        console.print(f"{start + len(batch)}/{len(missing)} files, {time.monotonic() - began:.0f} s")


def _record(folder: Path) -> dict[str, str]:
    """What was noted earlier; nothing where the record cannot be read, which only costs bringing files again."""
    try:
        found = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_here(folder: Path, entry: SetFile, record: Mapping[str, str]) -> bool:
    path = folder / entry.name
    return record.get(entry.name) == entry.content and path.is_file() and path.stat().st_size == entry.size
