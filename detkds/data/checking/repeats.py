"""Annotations that occur twice: by id, and by what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkds.data.checking.values import is_id


def twice(entries: list[Any]) -> list[int]:
    """Places of the entries whose id an earlier one has; entries without a usable id have none."""
    ids = (id if isinstance(entry, dict) and is_id(id := entry.get("id")) else -1 - place for place, entry in enumerate(entries))
    return [place for place, _ in _again(np.fromiter(ids, np.int64, len(entries)))]


def repeated(entries: list[Any]) -> list[tuple[int, int]]:
    """Places of the entries that have image, category and box of an earlier one but another id, each with the earlier one's place."""
    marks = np.fromiter((_mark(entry, place) for place, entry in enumerate(entries)), np.int64, len(entries))
    return [(place, first) for place, first in _again(marks) if _say_the_same(entries[place], entries[first])]


def _say_the_same(one: Any, other: Any) -> bool:
    """Marks can be the same by chance, or be made so."""
    try:
        return bool(one["id"] != other["id"] and _said(one) == _said(other))
    except (KeyError, TypeError):
        return False


def _said(entry: Any) -> tuple[Any, ...]:
    return (entry["image_id"], entry["category_id"], *entry["bbox"])


def _mark(entry: Any, place: int) -> int:
    """A number that is the same for annotations which say the same; entries that cannot be used have one of their own."""
    try:
        return hash(_said(entry)) if is_id(entry["id"]) else -1 - place
    except (KeyError, TypeError):
        return -1 - place


def _again(keys: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Places whose key stands before, each with the first place of that key; in order."""
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    firsts = first[which]
    again = np.flatnonzero(firsts != np.arange(len(keys)))
    return list(zip(again.tolist(), firsts[again].tolist(), strict=True))
