"""The files that unsafe or missing names of a data set mean: searched by name below the image folder, and nowhere else."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from detkds.data.checking.names import likeness
from detkds.data.checking.paths import MAX_NAME_CHARACTERS, join_below, plain_parts, tails
from detkds.errors import DatasetError

_MAX_FILES = 2_000_000


class FileNames:
    """Which file below the image folder each name of a data set means; no file is opened.

    Args:
        names: all of the set, sound ones included: a file that two of them mean belongs to nobody.
        folder: the image folder; None where none is known.
    """

    def __init__(self, names: Iterable[Any], folder: Path | None) -> None:
        self._root = folder.resolve() if folder is not None and folder.is_dir() else None
        self._files: dict[str, list[str]] = {}
        for name in _below(self._root) if self._root else ():
            self._files.setdefault(likeness(name), []).append(name)
        self._meant = {name: self._find(name) for name in set(filter(_is_name, names))}
        self._claims = Counter(filter(None, self._meant.values()))

    def meant(self, name: Any) -> str | None:
        """The plain path below the image folder that a name means; None if there is no such file, or several, or another name means it."""
        found = self._meant.get(name) if _is_name(name) else None
        return found if found is not None and self._claims[found] == 1 else None

    def _find(self, name: str) -> str | None:
        if self._root is None:
            return _with_slashes(name)
        if self._is_file(name):
            return "/".join(plain_parts(name))
        for tail in tails(name):
            alike = self._files.get(likeness(tail), [])
            found = [tail] if tail in alike else alike
            if len(found) == 1 and self._is_file(found[0]):
                return found[0]
        return None

    def _is_file(self, name: str) -> bool:
        try:
            return self._root is not None and join_below(self._root, name).is_file()
        except (DatasetError, OSError):
            return False


def _with_slashes(name: str) -> str | None:
    """A relative path with / for its backslashes; None if that does not make it plain."""
    plain = name.replace("\\", "/")
    try:
        plain_parts(plain)
    except DatasetError:
        return None
    return plain


def _below(root: Path) -> Iterator[str]:
    count = 0
    for folder, _, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        for file in files:
            yield file if inside == "." else f"{inside}/{file}"
        count += len(files)
        if count > _MAX_FILES:
            return


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= MAX_NAME_CHARACTERS
