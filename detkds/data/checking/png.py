"""What the chunks of a PNG file say of it, without decoding: depth, EXIF block, and whether its end is there."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MAX_CHUNKS = 20_000
_MAX_EXIF_BYTES = 2**16
_DEPTH_PLACE = 24  # in the chunk IHDR, which is the first


@dataclass(frozen=True, slots=True)
class Outline:
    """Of a PNG file: bits per sample, its EXIF block (empty where it has none) and whether it has its last chunk."""

    bits: int
    exif: bytes
    whole: bool


def outline(file: int) -> Outline:
    """Read the heads of the chunks through a descriptor, whose position is left alone. OpenCV takes EXIF blocks behind the pixels, too."""
    block, whole = b"", False
    for kind, place, length in _chunks(file):
        if kind == b"eXIf":
            block = os.pread(file, min(length, _MAX_EXIF_BYTES), place)
        whole = kind == b"IEND"
    return Outline(os.pread(file, 1, _DEPTH_PLACE)[0], block, whole)


def _chunks(file: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and length of the data of each chunk that exists in full, up to the last."""
    place, size = 8, os.fstat(file).st_size
    for _ in range(_MAX_CHUNKS):
        if place + 12 > size:
            return
        length, kind = struct.unpack(">I4s", os.pread(file, 8, place))
        if place + 12 + length > size:
            return
        yield kind, place + 8, length
        if kind == b"IEND":
            return
        place += 12 + length
