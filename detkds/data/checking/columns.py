"""Which annotation entries cannot be vouched for at a glance: the rules on whole columns of numbers, with numpy.

What is not suspect keeps every rule that an entry can break by itself. A suspect may be sound: it is judged singly.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkds.data.checking.entries import KEYS, RULED, unfit_keys
from detkds.data.checking.masks import Size
from detkds.data.checking.rules import MAX_ID, MAX_NUMBER, OUTSIDE_PX

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

CHUNK = 4096
_FEW = 16  # entries that are not worth another look at once
_fields = itemgetter(*KEYS["annotation"])


def suspects(entries: list[Any], sizes: Mapping[int, Size | None], categories: Collection[int]) -> list[int]:
    """Places of the entries that may break a rule, ascending.

    Args:
        sizes: (width, height) of each known image, None where it is at fault.
        categories: the known category ids.
    """
    known = _Known(sizes, categories)
    return [place for begin in range(0, len(entries), CHUNK) for place in _suspects(entries, begin, begin + CHUNK, known)]


class _Known:
    """What entries refer to, as arrays."""

    def __init__(self, sizes: Mapping[int, Size | None], categories: Collection[int]) -> None:
        good = sorted((id, *size) for id, size in sizes.items() if size)
        table = np.array(good, dtype=np.int64).reshape(-1, 3)
        self.images = table[:, 0]
        self.sizes = table[:, 1:].astype(np.float64)
        self.categories = np.array(sorted(categories), dtype=np.int64)


def _suspects(entries: list[Any], begin: int, end: int, known: _Known) -> list[int]:
    chunk = entries[begin:end]
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # numbers out of all range are what is looked for
            return [begin + place for place in np.flatnonzero(~_sound(chunk, known)).tolist()]
    except (KeyError, TypeError, ValueError, OverflowError):  # an entry that fits into no column
        if len(chunk) <= _FEW:
            return list(range(begin, begin + len(chunk)))
        middle = begin + len(chunk) // 2
        return _suspects(entries, begin, middle, known) + _suspects(entries, middle, begin + len(chunk), known)


def _sound(chunk: list[Any], known: _Known) -> Bools:
    """(N,) which entries keep all rules."""
    _require(chunk, {dict})
    ids, images, categories, boxes, areas, crowds = zip(*map(_fields, chunk), strict=True)
    for column in (ids, images, categories, crowds):
        _require(column, {int})
    _require(areas, {int, float})
    if len(known.images) == 0:
        return np.zeros(len(chunk), dtype=bool)
    id, image, crowd = (np.array(column, dtype=np.int64) for column in (ids, images, crowds))
    row = np.searchsorted(known.images, image).clip(max=len(known.images) - 1)
    sound: Bools = (id >= 0) & (id <= MAX_ID) & (crowd >= 0) & (crowd <= 1) & (known.images[row] == image)
    sound &= np.isin(np.array(categories, dtype=np.int64), known.categories)
    sound &= _boxes(boxes, np.array(areas, dtype=np.float64), known.sizes[row])
    sound &= _masks(chunk, known.sizes[row])
    sound &= np.array([len(entry) <= len(KEYS["annotation"]) or _has_fit_rest(entry) for entry in chunk])
    return sound


def _has_fit_rest(entry: dict[str, Any]) -> bool:
    return (len(entry) == len(RULED["annotation"]) and "segmentation" in entry) or not unfit_keys(entry, RULED["annotation"])


def _boxes(boxes: Sequence[Any], area: Floats, size: Floats) -> Bools:
    """(N,) which boxes are within their image, at least a pixel wide and high, and of at least the `area`; size is (N, 2)."""
    _require(boxes, {list})
    if set(map(len, boxes)) != {4}:
        raise ValueError
    _require(chain.from_iterable(boxes), {int, float})
    corner, sides = np.split(np.array(boxes, dtype=np.float64), 2, axis=1)
    far, full = corner + sides, sides[:, 0] * sides[:, 1]
    inside = (sides >= 1) & (corner >= -OUTSIDE_PX) & (far <= size + OUTSIDE_PX) & (np.minimum(far, size) > np.maximum(corner, 0))
    sound: Bools = inside.all(axis=1) & (area > 0) & (area <= full) & (area <= MAX_NUMBER)
    return sound


def _masks(chunk: list[Any], size: Floats) -> Bools:
    """(N,) which entries have polygons within their image, or no mask; run-length codes are left to be judged singly."""
    masks = [entry.get("segmentation", ()) for entry in chunk]
    kinds = list(map(type, masks))
    sound = np.array([kind is list or kind is tuple for kind in kinds])
    listed = [mask if kind is list else () for mask, kind in zip(masks, kinds, strict=True)]
    polygons = list(chain.from_iterable(listed))
    if not polygons:
        return sound
    _require(polygons, {list})
    lengths = np.fromiter(map(len, polygons), np.int64, len(polygons))
    if lengths.min() < 6 or (lengths % 2).any():
        raise ValueError
    _require(chain.from_iterable(polygons), {int, float})
    points = np.fromiter(chain.from_iterable(polygons), np.float64, lengths.sum()).reshape(-1, 2)
    of_entry = np.repeat(np.arange(len(chunk)), np.fromiter(map(len, listed), np.int64, len(listed)))
    starts = np.concatenate([[0], np.cumsum(lengths // 2)[:-1]])
    within = (np.minimum.reduceat(points, starts) >= -OUTSIDE_PX).all(1)
    within &= (np.maximum.reduceat(points, starts) <= size[of_entry] + OUTSIDE_PX).all(1)
    sound[of_entry[~within]] = False
    return sound


def _require(values: Any, types: set[type]) -> None:
    """Refuse columns of other types; true and false are ints to numpy, not here."""
    if not set(map(type, values)) <= types:
        raise TypeError
