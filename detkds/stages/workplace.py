"""Where a stage works: its home folder, local copies of what lies in the store, and a place to go on from after a crash."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from detkds.storage.fetch import fetch


def home() -> Path:
    """The folder for caches and unfinished work: DETKDS_HOME, or `.detkds` here."""
    return Path(os.environ.get("DETKDS_HOME", ".detkds")).resolve()


def local(address: str) -> Path:
    """The local path of a file or folder; what lies at an s3:// address is fetched and verified once."""
    return fetch(address, home() / "cache")


def workplace(stage: str, **inputs: Any) -> Path:
    """A folder that is the same for the same inputs, so that a stage that was killed goes on where it stopped."""
    folder = home() / "work" / f"{stage}-{digest(inputs)[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(value: Any) -> str:
    """sha256 of plain values, dataclasses included."""
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, anything else that JSON does not know as text."""

    def known(item: Any) -> Any:
        return asdict(item) if is_dataclass(item) and not isinstance(item, type) else str(item)

    return json.loads(json.dumps(value, default=known))
