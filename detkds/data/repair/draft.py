"""A data set under repair: its lists, what was changed, and what annotations are to follow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from detkds.data.checking.entries import KEYS, known_ids
from detkds.data.checking.masks import Size
from detkds.data.checking.paths import plain_parts
from detkds.data.checking.rules import MAX_ID
from detkds.data.checking.values import is_id
from detkds.errors import DatasetError

Entry = dict[str, Any]
LIST_OF = {"image": "images", "category": "categories", "annotation": "annotations"}
REFERENCE = {"image": "image_id", "category": "category_id"}  # how annotations name them


@dataclass(frozen=True, slots=True)
class Change:
    """What a repair did to one entry.

    Args:
        rule: the rule that it broke, a key of RULES; `image.bare` for images that lost all their annotations.
        done: in a few words, the same ones for the same thing; `dropped` where the entry is left out.
        id: its id, None where it has no usable one.
        place: its index in the list of the original file; None for the top level.
    """

    rule: str
    done: str
    id: int | None = None
    place: int | None = None


class Draft:
    """A COCO dict that may be changed; the original stays as it is.

    Attributes:
        document: the lists are copies, entries are copied when `editable` hands them out.
        origins: of each kind, the place in the original list of each entry.
        changes: what was done, in order.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = {key: list(value) if key in LIST_OF.values() else value for key, value in document.items()}
        self.origins = {kind: list(range(len(self.list(kind)))) for kind in LIST_OF}
        self.changes: list[Change] = []
        self._used: set[int] = set()
        self._unclear: dict[str, set[int]] = defaultdict(set)
        self._followers: dict[str, dict[int, int]] = defaultdict(dict)
        self._firsts: dict[str, dict[Any, Entry]] = {}

    def list(self, kind: str) -> list[Any]:
        """The entries of one kind."""
        entries: list[Any] = self.document[LIST_OF[kind]]
        return entries

    def editable(self, kind: str, place: int) -> Any:
        """An entry in a copy of its own."""
        entry = self.list(kind)[place]
        self.list(kind)[place] = entry = dict(entry) if isinstance(entry, dict) else entry
        return entry

    def size(self, annotation: Entry) -> Size | None:
        """(width, height) of an annotation's image, None if that is unknown or no size."""
        image = self._first("image", "id").get(_hashable(annotation.get("image_id")))
        if image is None or not all(type(image[side]) is int and image[side] > 0 for side in ("width", "height")):
            return None
        return image["width"], image["height"]

    def fresh_id(self) -> int:
        """An id that no annotation has."""
        if not self._used:
            self._used = known_ids(self.list("annotation"))
        above = max(self._used, default=0) + 1
        id = next(id for id in chain(range(above, MAX_ID + 1), count(1)) if id not in self._used)
        self._used.add(id)
        return id

    def first(self, kind: str, key: str, entry: Entry) -> Entry | None:
        """The first entry with all keys that has the same id, name or file_name as `entry`."""
        return self._first(kind, key).get(_key(key, entry))

    def mark_unclear(self, kind: str, id: int) -> None:
        """Several different entries have this id: all of them go, as nobody knows which one annotations mean."""
        self._unclear[kind].add(id)

    def follow(self, kind: str, old: int, id: int) -> None:
        """Annotations of `old` are to be those of `id`."""
        self._followers[kind][old] = id

    def settle(self, kind: str, dropped: set[int]) -> None:
        """Leave out the entries at the places `dropped` and those with unclear ids, and let annotations follow."""
        for place, entry in enumerate(self.list(kind)):
            if place not in dropped and self._unclear[kind] and _hashable(_get(entry, "id")) in self._unclear[kind]:
                self.changes.append(Change(f"{kind}.id-duplicate", "dropped", entry["id"], self.origins[kind][place]))
                dropped.add(place)
        if dropped:
            kept = [place for place in range(len(self.list(kind))) if place not in dropped]
            self.origins[kind] = [self.origins[kind][place] for place in kept]
            self.document[LIST_OF[kind]] = [self.list(kind)[place] for place in kept]
        if followers := self._followers.pop(kind, {}):
            self._let_follow(REFERENCE[kind], followers)
        self._unclear.pop(kind, None)
        self._firsts.clear()

    def _let_follow(self, reference: str, followers: dict[int, int]) -> None:
        for place, entry in enumerate(self.list("annotation")):
            old = _get(entry, reference)
            if is_id(old) and old in followers:
                self.editable("annotation", place)[reference] = followers[old]

    def _first(self, kind: str, key: str) -> dict[Any, Entry]:
        if (name := f"{kind} {key}") not in self._firsts:
            found: dict[Any, Entry] = {}
            for entry in _whole_entries(kind, self.list(kind)):
                found.setdefault(_key(key, entry), entry)
            self._firsts[name] = found
        return self._firsts[name]


def _whole_entries(kind: str, entries: list[Any]) -> Iterator[Entry]:
    return (entry for entry in entries if isinstance(entry, dict) and is_id(entry.get("id")) and all(key in entry for key in KEYS[kind]))


def _get(entry: Any, key: str) -> Any:
    return entry.get(key) if isinstance(entry, dict) else None


def _hashable(value: Any) -> Any:
    return value if is_id(value) else None


def _key(key: str, entry: Entry) -> Any:
    value = entry.get(key)
    if key == "file_name":
        try:
            return plain_parts(value)
        except DatasetError:
            return None
    return value if isinstance(value, (str, int)) else None
