"""JSON text to Python values, in two ways that agree: fast for plain files of any size, exact for odd ones.

The fast way lets orjson parse the list `annotations` in pieces of a few MB: parsed at once, a file of COCO's size takes 4 GB for a moment.
Whatever it cannot vouch for (a key twice in an object, NaN, numbers beyond double precision's range, half characters, wrong syntax) it
leaves to the exact way, Python's json, which says what is odd and where.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from detkds.data.checking.values import shown

PIECE = 2 * 2**20
_START = re.compile(rb'"annotations"\s*:\s*\[')
_END = re.compile(rb"\}\s*\]\s*[,}]")  # of a list of objects within an object
_TRIES = 20  # ends and borders between entries looked at before a piece counts as odd
_MARK = "detkds: the list stood here"
_SHARED_FLOATS = 1_000_000


class OddError(ValueError):
    """The fast way cannot vouch for this file."""


@contextmanager
def without_collection() -> Iterator[None]:
    """Without Python's search for cycles, which would look at millions of lists again and again; parsed JSON has none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def parse_fast(path: Path) -> Any:
    """The document of a file whose top level has a list `annotations` of objects; the same value as `parse_exact` gives.

    Raises:
        OddError: the file is anything else, or has something that the two ways may read differently.
    """
    try:
        with path.open("rb") as file:
            head, rest = _until_list(file)
            entries, tail = _entries(rest, file)
            frame = head + orjson.dumps(_MARK) + tail + file.read()
            del head, tail  # the images are in them: a tenth of a large file
            document = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise OddError(str(error)) from None
    # The mark in its place proves that what was cut out is the value of this key and nothing else.
    if not isinstance(document, dict) or document.get("annotations") != _MARK or not _keys_once(frame, [document]):
        raise OddError("annotations")
    document["annotations"] = entries
    return document


def parse_exact(text: str) -> tuple[Any, list[str]]:
    """The document of a JSON text as Python's json reads it, NaN and infinities included; and what is said of keys that occur twice.

    Of a key that occurs twice the last value counts, as for every reader of COCO files.

    Raises:
        ValueError: it is not JSON, or has a whole number of more digits than Python converts.
        RecursionError: it is nested too deep.
    """
    doubled: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in value if keys.count(key) > 1)
            doubled.append(f"{shown(twice)} stands {keys.count(twice)} times in an object with the id {shown(value.get('id'))}")
        return value

    return json.loads(text, object_pairs_hook=once, parse_float=_Floats().__getitem__), doubled


class _Floats(dict[str, float]):
    """Numbers by their text: equal ones are one object, which halves the memory that polygons take."""

    def __missing__(self, text: str) -> float:
        value = float(text)
        if len(self) < _SHARED_FLOATS:
            self[text] = value
        return value


def _until_list(file: BinaryIO) -> tuple[bytes, bytes]:
    """The text before the list `annotations`, and the first of what follows its bracket."""
    read = bytearray()
    while piece := file.read(PIECE):
        begin = max(0, len(read) - 64)
        read += piece
        if found := _START.search(read, begin):
            return bytes(read[: found.end() - 1]), bytes(read[found.end() :])
    raise OddError("no list of annotations")


def _entries(rest: bytes, file: BinaryIO) -> tuple[list[Any], bytes]:
    """The entries of a list of objects, and what was read behind its bracket."""
    entries: list[Any] = []
    while not (ended := _ended(rest)):
        if len(rest) >= PIECE:
            part, rest = _cut(rest)
            entries += part
        piece = file.read(PIECE)
        if not piece:
            raise OddError("no end of annotations")
        rest += piece
    return entries + ended[0], ended[1]


def _ended(text: bytes) -> tuple[list[Any], bytes] | None:
    """The last entries and what follows the list, if it ends in `text`."""
    for _, found in zip(range(_TRIES), _END.finditer(text), strict=False):
        part = _parsed(text[: found.start() + 1])
        if part is not None:
            return part, text[text.index(b"]", found.start()) + 1 :]
    return None


def _cut(text: bytes) -> tuple[list[Any], bytes]:
    """As many whole entries as can be had, and the text behind them and their comma."""
    border = len(text)
    for _ in range(_TRIES):
        border = text.rfind(b"},", 0, border)
        if border < 0:
            break
        part = _parsed(text[: border + 1])
        if part is not None:
            return part, text[border + 2 :]
    raise OddError("no border between annotations")


def _parsed(text: bytes) -> list[Any] | None:
    """The objects of a list without its brackets; None if the text stops within one. What parses in brackets is whole entries."""
    try:
        part: list[Any] = orjson.loads(b"[" + text + b"]")
    except orjson.JSONDecodeError:
        return None
    if not _keys_once(text, part):
        raise OddError("a key twice")
    return part


def _keys_once(text: bytes, values: list[Any]) -> bool:
    """Whether no object has a key twice: as many keys are in the values as are in the text.

    Without white space every key ends in `":`. A text that has these signs or braces elsewhere too counts as doubtful.
    """
    objects = [value for value in values if type(value) is dict]
    if len(objects) < len(values):
        return False
    objects += [inner for value in objects for inner in value.values() if type(inner) is dict]
    braces = text.count(b"{")
    if len(objects) != braces:
        objects = list(_objects(values))
    return len(objects) == braces and sum(map(len, objects)) == text.translate(None, b" \t\r\n").count(b'":')


def _objects(values: list[Any]) -> Iterator[dict[str, Any]]:
    level = values
    while level:
        yield from (value for value in level if type(value) is dict)
        lists = (value.values() if type(value) is dict else value for value in level)
        level = [inner for outer in lists for inner in outer if type(inner) in (dict, list)]
