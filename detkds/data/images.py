"""The image entries of a COCO file, and the files they name."""

from __future__ import annotations

import stat
import warnings
from pathlib import Path
from typing import Any

from PIL import Image

from detkds.data.entries import identified, known_ids
from detkds.data.faults import MAX_PIXELS, Findings, shown
from detkds.data.masks import Size
from detkds.data.paths import join_below, plain_parts
from detkds.errors import DatasetError

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")  # Pillow also knows formats that start other programs
KEYS = ("id", "file_name", "width", "height")
_ROTATED = 5  # EXIF orientations 5 to 8 swap width and height
_ORIENTATION = 0x0112


def check_images(entries: list[Any], folder: Path | None, open_files: bool, findings: Findings) -> dict[int, Size | None]:
    """Note the faults of `images`; returns each image's (width, height), None where that is at fault."""
    root = _resolved(folder, findings)
    sizes: dict[int, Size | None] = dict.fromkeys(known_ids(entries))
    owners: dict[tuple[str, ...], int] = {}
    for entry, id in identified("image", entries, KEYS, findings):
        size = sizes[id] = _size(entry, id, findings)
        try:
            parts = plain_parts(entry["file_name"])
            path = join_below(root, entry["file_name"]) if root else None
        except DatasetError as error:
            findings.add("image.file-name", str(error), id)
            continue
        if owners.setdefault(parts, id) != id:
            findings.add("image.file-name-duplicate", f"{shown(entry['file_name'])} is also image {owners[parts]}'s", id)
        if path and _is_there(path, entry, id, findings) and open_files:
            _open(path, size, id, findings)
    return sizes


def _resolved(folder: Path | None, findings: Findings) -> Path | None:
    if folder is None:
        return None
    if not folder.is_dir():
        findings.add("folder.missing", f"no image folder {shown(str(folder))}")
        return None
    return folder.resolve()


def _size(entry: dict[str, Any], id: int, findings: Findings) -> Size | None:
    width, height = entry["width"], entry["height"]
    if not (type(width) is int and type(height) is int and width > 0 and height > 0):
        findings.add("image.size", f"width is {shown(width)}, height is {shown(height)}", id)
        return None
    if width * height > MAX_PIXELS:
        findings.add("image.too-large", f"{shown(width)} x {shown(height)} pixels", id)
        return None
    return width, height


def _is_there(path: Path, entry: dict[str, Any], id: int, findings: Findings) -> bool:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)  # never a pipe or a device, whose opening may hang
    except OSError:
        regular = False
    if not regular:
        findings.add("image.missing-file", f"no file {shown(entry['file_name'])}", id)
    return regular


def _open(path: Path, declared: Size | None, id: int, findings: Findings) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF blocks and large images; size is judged here
            with Image.open(path, formats=FORMATS) as image:
                size = image.size
                if size[0] * size[1] > MAX_PIXELS:
                    findings.add("image.too-large", f"the file has {size[0]} x {size[1]} pixels", id)
                    return
                image.load()
                rotated = image.getexif().get(_ORIENTATION, 1)  # after the size is judged: some formats decode for it
    except Exception as error:  # decoders answer hostile bytes with exceptions of many kinds, struct.error and SyntaxError among them
        findings.add("image.unreadable", f"{shown(path.name)}: {shown(str(error))}", id)
        return
    # Detectors read the picture upright, as OpenCV does; annotations may have been made either way.
    upright = size[::-1] if isinstance(rotated, int) and rotated >= _ROTATED else size
    if declared is not None and declared not in (size, upright):
        findings.add("image.size-differs", f"{declared[0]} x {declared[1]}, but the file has {size[0]} x {size[1]} pixels", id)
