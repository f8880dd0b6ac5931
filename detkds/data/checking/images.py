"""The image entries of a COCO file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detkds.data.checking.entries import identified, known_ids
from detkds.data.checking.exif import UPRIGHT
from detkds.data.checking.faults import Findings
from detkds.data.checking.masks import Size
from detkds.data.checking.names import likeness
from detkds.data.checking.paths import join_below, plain_parts
from detkds.data.checking.pictures import Look, Picture, examined
from detkds.data.checking.reading import UnreadError, peak
from detkds.data.checking.rules import MAX_PIXELS, MIN_PEAK
from detkds.data.checking.values import shown
from detkds.errors import DatasetError


@dataclass
class Images:
    """What the image entries say, and their files.

    Attributes:
        sizes: each known image's (width, height), None where that is at fault.
        places: index in the list of entries, of each image that could be judged.
        turned: the pictures whose EXIF block turns them.
        deep: the files of 16 bits per sample.
    """

    sizes: dict[int, Size | None]
    places: dict[int, int] = field(default_factory=dict)
    turned: dict[int, Picture] = field(default_factory=dict)
    deep: dict[int, Path] = field(default_factory=dict)


def check_images(entries: list[Any], folder: Path | None, look: Look, findings: Findings) -> Images:
    """Note the faults that each entry of `images` has by itself, and those of 16 bits per sample that detectors would see nearly black.

    Args:
        folder: what file_name is relative to; None leaves the files themselves out.
        look: how closely the files are looked at.
    """
    root = _resolved(folder, findings)
    images = Images(dict.fromkeys(known_ids(entries)))
    owners: dict[tuple[str, ...], int] = {}
    alike: dict[str, int] = {}
    for place, entry, id in identified("image", entries, findings):
        images.sizes[id], images.places[id] = _size(entry, id, place, findings), place
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
        if path:
            _look_at(path, id, place, look, images, findings)
    _check_depth(images, findings)
    return images


def _look_at(path: Path, id: int, place: int, look: Look, images: Images, findings: Findings) -> None:
    found = examined(path, images.sizes[id], look)
    for rule, detail in found.breaches:
        findings.add(rule, detail, id, place)
        if rule == "image.size-differs":
            images.sizes[id] = None  # boxes are judged by what detectors read, and it is not known what these were drawn on
    if found.picture and found.picture.orientation != UPRIGHT:
        images.turned[id] = found.picture
    if found.picture and found.picture.deep:
        images.deep[id] = path


def _check_depth(images: Images, findings: Findings) -> None:
    """Of 16 bits per sample detectors read the upper 8: values of 12 bits become 0 to 15. One file that uses the range vouches for all."""
    highest = 0
    for id, path in images.deep.items():
        try:
            highest = max(highest, peak(path))
        except (OSError, UnreadError) as error:
            findings.add("image.unreadable", f"{shown(path.name)}: {error}", id, images.places[id])
        if highest >= MIN_PEAK:
            return
    for id in images.deep:
        detail = f"16 bits per sample, but no value of these {len(images.deep)} files is above {highest}"
        findings.add("image.depth", f"{detail}; detectors would see 0 to {highest >> 8} of 255", id, images.places[id])


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
