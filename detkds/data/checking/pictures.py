"""Image files: whether they exist, what array detectors read from them, and whether that is the one declared; none is trusted."""

from __future__ import annotations

import stat
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

from PIL import Image

from detkds.data.checking import exif, reading
from detkds.data.checking.endings import has_end
from detkds.data.checking.foreign import foreign
from detkds.data.checking.masks import Breach, Size
from detkds.data.checking.png import outline
from detkds.data.checking.rules import MAX_PIXELS, MAX_SCAN_PIXELS
from detkds.data.checking.values import shown

Look = Literal["names", "headers", "pixels"]
"""How closely image files are looked at: do they exist; also, is the array that detectors read of the size declared, as far as headers
tell (files without an end, TIFF and 16 bits per sample are decoded); also, does every file decode."""

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")  # Pillow also knows formats that start other programs
_READ_BYTES = 2**20
_SCAN = b"\xff\xda"  # the marker before each scan of a JPEG
_TIFF_ORIENTATION, _TIFF_BITS, _TIFF_KIND, _TIFF_UNSIGNED = 274, 258, 339, 1


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file as detectors read it.

    Args:
        size: (width, height) of the array that they read.
        orientation: 1 to 8, of its EXIF block.
        turned: whether the array is turned by that orientation; OpenCV does so for every format but WebP.
        deep: whether it has 16 bits per sample.
    """

    size: Size
    orientation: int = exif.UPRIGHT
    turned: bool = True
    deep: bool = False

    @property
    def other_size(self) -> Size:
        """(width, height) of the other frame: the stored one where the array is turned, else the one that viewers show."""
        return self.size[::-1] if self.orientation >= exif.SIDEWAYS else self.size


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found in an image file: the picture where it can be read, and the rules that it breaks."""

    picture: Picture | None
    breaches: tuple[Breach, ...] = ()


def examined(path: Path, declared: Size | None, look: Look) -> Examined:
    """Look at an image's file.

    A declared size that fits the other frame of a turned picture is not a fault here: only the whole set shows whether the annotations
    are in that frame as well (see `frames`).

    Args:
        path: below the image folder, links resolved.
        declared: (width, height) in the annotation file, None where that is at fault itself.
        look: how closely.
    """
    try:
        found = path.stat()
    except OSError:
        found = None
    if found is None or not stat.S_ISREG(found.st_mode):  # never a pipe or a device, whose opening may hang
        return Examined(None, (("image.missing-file", f"no file {shown(path.name)}"),))
    if look == "names":
        return Examined(None)
    try:
        picture = _picture(path, found.st_size, found.st_mtime_ns, look == "pixels")
    except _Breach as breach:
        return Examined(None, (breach.found,))
    if declared is not None and declared != picture.size and not (picture.orientation != exif.UPRIGHT and declared == picture.other_size):
        detail = f"{declared[0]} x {declared[1]}, but detectors read {picture.size[0]} x {picture.size[1]} pixels from the file"
        return Examined(picture, (("image.size-differs", detail),))
    return Examined(picture)


class _Breach(Exception):  # a finding, no error
    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.found = rule, detail


@lru_cache(maxsize=4096)
def _picture(path: Path, bytes_: int, changed_ns: int, decode: bool) -> Picture:
    """The picture in a file of this length and time of change, for which an answer is kept: stages look at the same files again and again.

    Raises:
        _Breach: it breaks a rule.
    """
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # odd EXIF blocks and large images; size is judged here
            with Image.open(file, formats=FORMATS) as image:
                return _judged(image, file, path, decode)
    except _Breach:
        raise
    except reading.UnreadError as error:
        raise _Breach("image.unreadable", f"{shown(path.name)}: {error}") from None
    except Image.DecompressionBombError:
        raise _Breach("image.too-large", f"the file {shown(path.name)} has more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # decoders answer hostile bytes with exceptions of many kinds, struct.error and SyntaxError among them
        raise _Breach("image.unreadable", f"{shown(path.name)}: {foreign(path) or shown(str(error))}") from None


def _judged(image: Image.Image, file: BinaryIO, path: Path, decode: bool) -> Picture:
    size, form = image.size, str(image.format)
    if size[0] * size[1] > MAX_PIXELS:
        raise _Breach("image.too-large", f"the file has {size[0]} x {size[1]} pixels")
    picture, whole = _from_header(image, form, file.fileno())
    if decode or not whole:
        scans = _scans(path) if form in ("JPEG", "MPO") else 1
        if scans * size[0] * size[1] > MAX_SCAN_PIXELS:
            raise _Breach("image.scans", f"{scans} scans of {size[0]} x {size[1]} pixels")
        image.draft(None, (1, 1))  # a JPEG is then decoded wholly, but to an eighth of its size
        image.load()
        height, width = reading.read(path).shape[:2]
        return Picture((width, height), picture.orientation, picture.turned, picture.deep)
    return picture


def _from_header(image: Image.Image, form: str, file: int) -> tuple[Picture, bool]:
    """The picture, and whether the header can be believed: TIFF has too many kinds to know from it which of them OpenCV reads."""
    if form == "TIFF":
        return _tiff(image), False
    if form == "PNG":
        png = outline(file)
        return _turned(image.size, exif.orientation(png.exif), deep=png.bits == 16), png.whole
    block = image.info.get("exif")
    orientation = exif.orientation(block) if isinstance(block, bytes) else exif.UPRIGHT
    if form == "WEBP":
        return Picture(image.size, orientation, turned=False), has_end(file, form)
    return _turned(image.size, orientation), has_end(file, form)


def _turned(stored: Size, orientation: int, *, deep: bool = False) -> Picture:
    return Picture(stored[::-1] if orientation >= exif.SIDEWAYS else stored, orientation, deep=deep)


def _tiff(image: Any) -> Picture:
    """Pillow gives the size of a TIFF turned already."""
    tags = image.tag_v2
    orientation = tags.get(_TIFF_ORIENTATION, exif.UPRIGHT)
    deep = 16 in tags.get(_TIFF_BITS, ())
    if deep and any(kind != _TIFF_UNSIGNED for kind in tags.get(_TIFF_KIND, ())):
        raise _Breach("image.unreadable", "a TIFF file of signed numbers, whose negative ones OpenCV reads as bright; write it with 8 bits")
    known = isinstance(orientation, int) and 1 <= orientation <= 8
    return Picture(image.size, orientation if known else exif.UPRIGHT, deep=deep)


def _scans(path: Path) -> int:
    scans, last = 0, b""
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            scans += (last + piece).count(_SCAN)
            last = piece[-1:]
    return scans
