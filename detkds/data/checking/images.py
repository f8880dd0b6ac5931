"""The image entries of a COCO file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detkds.data.checking.entries import identified, known_ids
from detkds.data.checking.faults import Findings
from detkds.data.checking.masks import Size
from detkds.data.checking.names import likeness
from detkds.data.checking.paths import join_below, plain_parts
from detkds.data.checking.pictures import Look, breaches
from detkds.data.checking.rules import MAX_PIXELS
from detkds.data.checking.values import shown
from detkds.errors import DatasetError


def check_images(entries: list[Any], folder: Path | None, look: Look, findings: Findings) -> dict[int, Size | None]:
    """Note the faults of `images`; returns each image's (width, height), None where that is at fault.

    Args:
        folder: what file_name is relative to; None leaves the files themselves out.
        look: how closely the files are looked at.
    """
    root = _resolved(folder, findings)
    sizes: dict[int, Size | None] = dict.fromkeys(known_ids(entries))
    owners: dict[tuple[str, ...], int] = {}
    alike: dict[str, int] = {}
    for place, entry, id in identified("image", entries, findings):
        size = sizes[id] = _size(entry, id, place, findings)
        name = entry["file_name"]
        try:
            parts = plain_parts(name)
            path = join_below(root, name) if root else None
        except DatasetError as error:
            findings.add("image.file-name", str(error).rpartition(";")[0], id, place)
            continue
        if owners.setdefault(parts, id) != id:
            findings.add("image.file-name-duplicate", f"{shown(name)} is also image {owners[parts]}'s", id, place)
        elif (other := alike.setdefault(likeness(name), id)) != id:
            findings.add("image.file-name-alike", f"{shown(name)} looks like image {other}'s", id, place)
        for rule, detail in breaches(path, size, look) if path else ():
            findings.add(rule, detail, id, place)
    return sizes


def _resolved(folder: Path | None, findings: Findings) -> Path | None:
    if folder is None:
        return None
    if not folder.is_dir():
        findings.add("folder.missing", f"no image folder {shown(str(folder))}")
        return None
    return folder.resolve()


def _size(entry: dict[str, Any], id: int, place: int, findings: Findings) -> Size | None:
    width, height = entry["width"], entry["height"]
    if not (type(width) is int and type(height) is int and width > 0 and height > 0):
        findings.add("image.size", f"width is {shown(width)}, height is {shown(height)}", id, place)
        return None
    if width * height > MAX_PIXELS:
        findings.add("image.too-large", f"{shown(width)} x {shown(height)} pixels", id, place)
        return None
    return width, height
