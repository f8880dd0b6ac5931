"""Annotation files that would take far more memory than their size: found by counting, before anything is parsed."""

from __future__ import annotations

from pathlib import Path

from detkds.data.checking.rules import LIST_BYTES, MAX_CONTAINERS, MAX_VALUE_BYTES, MAX_VALUES, OBJECT_BYTES

_FREE_BYTES = 2**20  # what a file so small can hold is harmless


def why_bomb(path: Path) -> str | None:
    """Which limit of the rule file.bomb a file breaks; it is read in pieces up to there.

    Python needs 64 bytes for a list and more for an object, however short their text: a file of `{},{},{},` grows 24-fold when it is
    parsed. Sound annotations grow 5-fold: each has an object and a list, and 76 bytes of text or more.
    """
    size = objects = lists = commas = 0
    with path.open("rb") as file:
        while piece := file.read(MAX_VALUE_BYTES):
            size += len(piece)
            objects += piece.count(b"{")
            lists += piece.count(b"[")
            here = piece.count(b",")
            commas += here
            if len(piece) == MAX_VALUE_BYTES and not here:
                return f"a value of more than {MAX_VALUE_BYTES:,} bytes"
            if OBJECT_BYTES * objects + LIST_BYTES * lists > size + _FREE_BYTES:
                return f"{objects:,} objects and {lists:,} lists in {size:,} bytes"
            if objects + lists > MAX_CONTAINERS:
                return f"more than {MAX_CONTAINERS:,} objects and lists"
            if commas > MAX_VALUES:
                return f"more than {MAX_VALUES:,} values"
    return None
