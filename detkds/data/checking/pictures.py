"""Image files: whether they are there, of the size declared, and decodable, without trusting them."""

from __future__ import annotations

import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from PIL import Image

from detkds.data.checking.masks import Breach, Size
from detkds.data.checking.rules import MAX_PIXELS, MAX_SCAN_PIXELS
from detkds.data.checking.values import shown

Look = Literal["names", "headers", "pixels"]
"""How closely image files are looked at: are they there; also, is the size in their header the one declared; also, do they decode."""

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")  # Pillow also knows formats that start other programs
_ROTATED = 5  # EXIF orientations 5 to 8 swap width and height
_ORIENTATION = 0x0112
_SCAN = b"\xff\xda"  # the marker before each scan of a JPEG
_READ_BYTES = 2**20


def breaches(path: Path, declared: Size | None, look: Look) -> Iterator[Breach]:
    """The rules that an image's file breaks.

    Args:
        path: below the image folder, links resolved.
        declared: (width, height) in the annotation file, None where that is at fault itself.
    """
    try:
        regular = stat.S_ISREG(path.stat().st_mode)  # never a pipe or a device, whose opening may hang
    except OSError:
        regular = False
    if not regular:
        yield "image.missing-file", f"no file {shown(path.name)}"
    elif look != "names":
        yield from _opened(path, declared, look == "pixels")


def _opened(path: Path, declared: Size | None, decode: bool) -> Iterator[Breach]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF blocks and large images; size is judged here
            with Image.open(path, formats=FORMATS) as image:
                yield from _judged(image, path, declared, decode)
    except Image.DecompressionBombError:
        yield "image.too-large", f"the file {shown(path.name)} has more than {MAX_PIXELS:,} pixels"
    except Exception as error:  # decoders answer hostile bytes with exceptions of many kinds, struct.error and SyntaxError among them
        yield "image.unreadable", f"{shown(path.name)}: {shown(str(error))}"


def _judged(image: Image.Image, path: Path, declared: Size | None, decode: bool) -> Iterator[Breach]:
    size, form = image.size, image.format
    if size[0] * size[1] > MAX_PIXELS:
        yield "image.too-large", f"the file has {size[0]} x {size[1]} pixels"
        return
    if decode:
        scans = _scans(path) if form == "JPEG" else 1
        if scans * size[0] * size[1] > MAX_SCAN_PIXELS:
            yield "image.scans", f"{scans} scans of {size[0]} x {size[1]} pixels"
            return
        image.draft(None, (1, 1))  # a JPEG is then decoded wholly, but to an eighth of its size
        image.load()
    if declared is not None and declared != size and not (declared == size[::-1] and _turned(image)):
        yield "image.size-differs", f"{declared[0]} x {declared[1]}, but the file has {size[0]} x {size[1]} pixels"


def _turned(image: Image.Image) -> bool:
    """Whether its EXIF block turns it on its side. Detectors read it upright, as OpenCV does; annotations may be made either way."""
    rotated = image.getexif().get(_ORIENTATION, 1)
    return isinstance(rotated, int) and rotated >= _ROTATED


def _scans(path: Path) -> int:
    scans, last = 0, b""
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            scans += (last + piece).count(_SCAN)
            last = piece[-1:]
    return scans
