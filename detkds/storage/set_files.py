"""Which files of a folder belong to a data set that is stored."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from detkds.errors import ArtifactError, DatasetError
from detkds.storage.keys import safe_key
from detkds.storage.manifest import MANIFEST


@dataclass(frozen=True)
class SetFiles:
    """Files of a folder.

    Args:
        sizes: bytes by relative name, sorted.
        left_out: hidden files and folders, and an index of an earlier copy.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def set_files(folder: Path, prefix: str = "") -> SetFiles:
    """What is stored of a folder: plain files in plain folders.

    Names that begin with a dot are left out, and a manifest.json at the top, whose name is the index's. Links, devices, and names that
    cannot be keys below `prefix` are refused: a link would be another file at the other end, or none.

    Raises:
        DatasetError: no such folder, nothing in it, or something that is refused; the message counts these and names the first.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give that of a COCO-format data set.")
    found, faults = SetFiles(), list[str]()
    for root, folders, names in os.walk(folder):
        hidden = [name for name in (*folders, *names) if name.startswith(".")]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted({*folders, *names}.difference(hidden)):
            _note(Path(root, name), folder, prefix, found, faults)
        found.left_out.extend(Path(root, name).relative_to(folder).as_posix() for name in hidden)
    if faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise DatasetError(f"{folder}: {faults[0]}{more}.")
    if not found.sizes:
        raise DatasetError(f"{folder} holds no file to store; give the folder of a COCO-format data set.")
    return SetFiles(dict(sorted(found.sizes.items())), sorted(found.left_out))


def _note(path: Path, folder: Path, prefix: str, found: SetFiles, faults: list[str]) -> None:
    name, status = path.relative_to(folder).as_posix(), path.lstat()
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "a device or pipe"
        faults.append(f"{name!r} is {kind}, and only plain files are stored; put a copy of the file there or remove it")
    elif name == MANIFEST:
        found.left_out.append(name)
    else:
        try:
            safe_key(f"{prefix}/{name}" if prefix else name)
        except ArtifactError as error:
            faults.append(str(error).rstrip("."))
        else:
            found.sizes[name] = status.st_size
