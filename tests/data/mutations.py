"""Annotation files as they come out of a hostile or careless hand: a small real-looking one, broken at random places by seed."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

Coco = dict[str, Any]

NUMBERS = [0, -1, 1, 2, 3, 7.0, 0.5, -0.0, 19.99, 31, 1e-320, 1e12, 1e308, -5, 2**53, 2**53 + 1, 2**63, 2**64, 10**400]
NUMBERS += [float("nan"), float("inf"), float("-inf")]
WORDS = [
    "",
    "a.png",
    "../x",
    "/etc/passwd",
    "a/../../x",
    "x\\y",
    "\x00",
    "\ud800",
    "\u202e",
    "a\u200bb",
    "∕etc",
    "e\u0301",
    "é",
    "cat",
    "f4b1",
]
WORDS += ["s3://x", "NaN", "[red]x[/red]", "x" * 300, "0" * 30, "C:x"]
VALUES = [
    None,
    True,
    False,
    [],
    {},
    [[]],
    [{}],
    [1, 2, 3, 4],
    [0, 0, 5, 5],
    [[0, 0, 9, 0, 9, 9]],
    {"size": [20, 30], "counts": [600]},
    {"id": 1},
]
BYTES = [
    b"NaN",
    b"Infinity",
    b"1e999",
    b"9" * 5000,
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"-",
]
BYTES += [b"\\ud800", b'"id":1,', b"\xe2\x80\xae", b"[" * 2000, b"1" * 30, b".0", b"null", b"true", b" ", b"\n"]


def real_looking() -> Coco:
    """Four images of 30 x 20 pixels, three classes, nine annotations with polygons, run lengths of both kinds, and a crowd region."""
    images = [
        {"id": 10 + n, "file_name": f"{'abcd'[n]}.png", "width": 30, "height": 20, "license": 1, "date_captured": "2013-11-14"}
        for n in range(4)
    ]
    annotations: list[Coco] = []
    for n in range(8):
        x, y, w, h = 2 * n, n, 6.5, 5
        mask = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        box: Coco = {"id": n + 1, "image_id": 10 + n % 3, "category_id": 1 + n % 3, "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
        annotations.append(box | ({"segmentation": mask} if n % 4 else {"attributes": {"occluded": False}}))
    annotations[5]["segmentation"] = {"size": [20, 30], "counts": "f4b1`<"}  # 150, 50, 400
    crowd = {"id": 9, "image_id": 10, "category_id": 2, "bbox": [0, 0, 30, 20], "area": 500, "iscrowd": 1}
    annotations.append(crowd | {"segmentation": {"size": [20, 30], "counts": [100, 500]}})
    categories = [{"id": n + 1, "name": name, "supercategory": "thing"} for n, name in enumerate(("cat", "dog", "Zürich"))]
    info = {"year": 2024, "contributor": "x", "url": "http://example.org/:x"}
    return {"info": info, "images": images, "annotations": annotations, "categories": categories}


def broken(seed: int) -> bytes:
    """The text of the file with one to four faults: every third one in its bytes, the others in its structure."""
    chance = random.Random(seed)
    faults = chance.choice([1, 1, 2, 4])
    if seed % 3:
        document: Any = real_looking()
        for _ in range(faults):
            document = _change(document, chance)
        return json.dumps(document, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, None, 1])).encode(
            "utf-8", "surrogatepass"
        )
    text = json.dumps(real_looking(), ensure_ascii=False, separators=chance.choice([(",", ":"), (", ", ": ")])).encode()
    for _ in range(faults):
        text = _scratch(text, chance)
    return text


def _change(document: Any, chance: random.Random) -> Any:
    """One place replaced by another value, one of its own kind from elsewhere, taken out, or doubled."""
    places = list(_places(document))
    if len(places) < 2:
        return document
    holder, key = chance.choice(places[1:])
    action = chance.choice(["replace", "replace", "replace", "copy", "remove", "double", "add"])
    if action == "replace":
        holder[key] = _value(chance)
    elif action == "copy":
        other, where = chance.choice(places[1:])
        holder[key] = copy.deepcopy(other[where])
    elif action == "remove":
        del holder[key]
    elif action == "double" and isinstance(holder, list):
        holder.insert(chance.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
    elif isinstance(holder, dict):
        holder[chance.choice(WORDS)] = _value(chance)
    return document


def _value(chance: random.Random) -> Any:
    value = copy.deepcopy(chance.choice([chance.choice(NUMBERS), chance.choice(NUMBERS), chance.choice(WORDS), chance.choice(VALUES)]))
    for _ in range(chance.choice([0] * 12 + [1, 2, 31, 33, 40, 200])):
        value = [value]
    return value


def _places(value: Any) -> Any:
    yield None, None
    level = [value]
    while level:
        holder = level.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        yield from ((holder, key) for key in keys)
        level += [holder[key] for key in keys if isinstance(holder[key], (dict, list))]


def _scratch(text: bytes, chance: random.Random) -> bytes:
    begin = chance.randrange(len(text) + 1)
    end = min(len(text), begin + chance.choice([0, 1, 1, 2, 5, 40]))
    action = chance.choice(["insert", "insert", "overwrite", "delete", "double", "cut"])
    if action == "insert":
        return text[:begin] + chance.choice(BYTES) + text[begin:]
    if action == "overwrite":
        return text[:begin] + bytes([chance.randrange(256)]) + text[begin + 1 :]
    if action == "delete":
        return text[:begin] + text[end:]
    if action == "double":
        return text[:end] + text[begin:]
    return text[:begin] if chance.random() < 0.3 else text
