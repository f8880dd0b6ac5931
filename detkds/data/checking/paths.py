"""Paths that a data set names: only plain ones, and only below the data set's folder."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from detkds.data.checking.names import SLASHES, has_hidden
from detkds.data.checking.values import shown
from detkds.errors import DatasetError

MAX_NAME_CHARACTERS = 1024
MAX_PART_BYTES = 255  # what Linux file systems bear
_PARTED = re.compile(r"[\\/]+")
_MAX_PARTS = 40
_DRIVE = re.compile(r"^[A-Za-z]:")


def safe_join(root: Path, file_name: str) -> Path:
    """The path of `file_name` below `root`; nothing is opened.

    Args:
        root: the image folder.
        file_name: from outside; a relative path with `/` between folders.

    Raises:
        DatasetError: the name is not a plain relative path (absolute, drive letter, address, backslash, `..` or what looks
            like one, control or invisible characters, no UTF-8, no name behind the last `/`, too long), or a link on the way leads
            out of `root`.
    """
    return join_below(root.resolve(), file_name)


def join_below(root: Path, file_name: str) -> Path:
    """`safe_join` for many names: `root` is resolved already."""
    path = str(root)
    linked = False
    for part in plain_parts(file_name):
        path = os.path.join(path, part)
        linked = linked or os.path.islink(path)
    # Without a link on the way the path is below root by construction; resolving is the slow part and seldom needed.
    if linked and not Path(os.path.realpath(path)).is_relative_to(root):
        raise _unsafe(file_name, "a link on its way leads out of the image folder")
    return Path(path)


def plain_parts(file_name: Any) -> tuple[str, ...]:
    """The folders and the name of a plain relative path, `.` and empty parts left out.

    Raises:
        DatasetError: as in `safe_join`, links aside.
    """
    reason = _why_not_plain(file_name)
    if reason:
        raise _unsafe(file_name, reason)
    if "/" not in file_name:
        return (file_name,)  # nearly all of them; no copy is made
    return tuple(part for part in file_name.split("/") if part not in ("", "."))


def tails(name: str) -> Iterator[str]:
    """The path without its first folders, ever fewer parts of it: with / between them, each also with %20 and its like decoded."""
    parts = [part for part in _PARTED.split(name) if part not in ("", ".", "..")][-_MAX_PARTS:]
    for first in range(len(parts)):
        tail = "/".join(parts[first:])
        yield tail
        if "%" in tail:
            yield unquote(tail)


def _why_not_plain(name: Any) -> str | None:
    if not isinstance(name, str):
        return "it is not text"
    if len(name) > MAX_NAME_CHARACTERS:
        return f"it has {len(name)} characters, more than {MAX_NAME_CHARACTERS}"
    if has_hidden(name):
        return "it has control or invisible characters"
    if reason := _why_no_path(name):
        return reason
    if not name.isascii() and _is_deceptive(name):
        return "it has characters that look like /, \\, : or .."
    if any(len(part.encode()) > MAX_PART_BYTES for part in name.split("/")):
        return f"a part of it is longer than {MAX_PART_BYTES} bytes"
    return None


def _is_deceptive(name: str) -> bool:
    """Whether characters of it are drawn as a path separator, or it becomes another path in Unicode's compatibility form."""
    compatible = unicodedata.normalize("NFKC", name)
    return bool(SLASHES.intersection(name)) or compatible.count("/") != name.count("/") or _why_no_path(compatible) is not None


def _why_no_path(name: str) -> str | None:
    if name.startswith("/") or _DRIVE.match(name):
        return "it is absolute"
    if "://" in name:
        return "it is an address"  # mmengine would ask a server for it
    if "\\" in name:
        return "it has a backslash where folders are parted by /"
    parts = name.split("/")
    if ".." in parts:
        return "it climbs with .."
    if parts[-1] in ("", "."):
        return "it names no file"
    return None


def _unsafe(name: Any, reason: str) -> DatasetError:
    return DatasetError(f"file_name {shown(name)} is refused: {reason}; write a path relative to the image folder.")
