"""A data set under repair: its lists, what was changed, and what annotations are to follow."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from detkds.data.checking.entries import KEYS, known_ids
from detkds.data.checking.exif import UPRIGHT
from detkds.data.checking.masks import Size
from detkds.data.checking.paths import join_below, plain_parts
from detkds.data.checking.pictures import examined
from detkds.data.checking.rules import MAX_ID
from detkds.data.checking.values import is_id
from detkds.data.repair.file_names import FileNames
from detkds.data.repair.numbers import whole
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

    @property
    def dropped(self) -> bool:
        """Whether the entry is left out."""
        return self.done.startswith("dropped")


class Draft:
    """A COCO dict that may be changed; the original stays as it is.

    Attributes:
        document: the lists are copies, entries are copied when `editable` hands them out.
        origins: of each kind, the place in the original list of each entry.
        changes: what was done, in order.
    """

    def __init__(self, document: dict[str, Any], images: Path | None = None) -> None:
        self.document = {key: list(value) if key in LIST_OF.values() else value for key, value in document.items()}
        self.origins = {kind: list(range(len(self.list(kind)))) for kind in LIST_OF}
        self.changes: list[Change] = []
        self._used: set[int] = set()
        self._unclear: dict[str, set[int]] = defaultdict(set)
        self._followers: dict[str, dict[int | str, int]] = defaultdict(dict)
        self._numbers: dict[str, dict[str, int]] = {}
        self._of_image: dict[int, list[int]] = defaultdict(list)
        self._images = images
        self._file_names: FileNames | None = None
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

    def annotations_of(self, image: int) -> Iterator[tuple[int, Entry]]:
        """Place and entry of an image's annotations; by id, also where that is still 7.0 or "7"."""
        if not self._of_image:
            for place, entry in enumerate(self.list("annotation")):
                if isinstance(entry, dict) and (id := whole(entry.get("image_id"))) is not None:
                    self._of_image[id].append(place)
        yield from ((place, self.list("annotation")[place]) for place in self._of_image.get(image, ()))

    def fresh_id(self) -> int:
        """An id that no annotation has."""
        if not self._used:
            self._used = known_ids(self.list("annotation"))
        return _add_fresh(self._used)

    def number_of(self, kind: str, text: str) -> int:
        """The whole number that stands for an id that is text, the same wherever it stands: the text's own where no other id is that."""
        if kind not in self._numbers:
            self._numbers[kind] = _numbers(self.list(kind))
        return self._numbers[kind][text]

    def meant_file(self, name: Any) -> str | None:
        """The path below the image folder that an unsafe or missing file_name means, as `FileNames.meant`."""
        if self._file_names is None:
            names = [entry.get("file_name") for entry in self.list("image") if isinstance(entry, dict)]
            self._file_names = FileNames(names, self._images)
        return self._file_names.meant(name)

    def first(self, kind: str, key: str, entry: Entry) -> Entry | None:
        """The first entry with all keys that has the same id, name or file_name as `entry`."""
        return self._first(kind, key).get(_key(key, entry))

    def mark_unclear(self, kind: str, id: int) -> None:
        """Several different entries have this id: all of them go, as nobody knows which one annotations mean."""
        self._unclear[kind].add(id)

    def size_of_file(self, name: Any) -> Size | None:
        """(width, height) of an image's file as detectors read it; None if there is none, or its EXIF block turns it."""
        try:
            path = join_below(self._images.resolve(), name) if self._images is not None else None
        except (DatasetError, OSError):
            return None
        picture = examined(path, None, "headers").picture if path is not None else None
        return picture.size if picture is not None and picture.orientation == UPRIGHT else None

    def follow(self, kind: str, old: int | str, id: int) -> None:
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
        self._of_image.clear()

    def _let_follow(self, reference: str, followers: dict[int | str, int]) -> None:
        for place, entry in enumerate(self.list("annotation")):
            old = _get(entry, reference)
            if (is_id(old) or isinstance(old, str)) and old in followers:
                self.editable("annotation", place)[reference] = followers[old]

    def _first(self, kind: str, key: str) -> dict[Any, Entry]:
        if (name := f"{kind} {key}") not in self._firsts:
            found: dict[Any, Entry] = {}
            for entry in _whole_entries(kind, self.list(kind)):
                found.setdefault(_key(key, entry), entry)
            self._firsts[name] = found
        return self._firsts[name]


def _add_fresh(used: set[int]) -> int:
    above = max(used, default=0) + 1
    id = next(id for id in chain(range(above, MAX_ID + 1), count(1)) if id not in used)
    used.add(id)
    return id


def _numbers(entries: list[Any]) -> dict[str, int]:
    """A number for each id that is text: its own where it has one that no other id has, else a fresh one."""
    ids = [_get(entry, "id") for entry in entries]
    texts = list(dict.fromkeys(id for id in ids if isinstance(id, str)))
    used = known_ids(entries)
    owns = Counter(own for text in texts if (own := whole(text)) is not None)
    numbers = {text: own for text in texts if (own := whole(text)) is not None and owns[own] == 1 and own not in used}
    used |= set(numbers.values())
    return {text: numbers[text] if text in numbers else _add_fresh(used) for text in texts}


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
