"""Whether an image file has its end, without decoding it: files cut off by a broken copy are found at the cost of a look at their tail."""

from __future__ import annotations

import os
import struct

_TAIL_BYTES = 4096
_JPEG_END = b"\xff\xd9"  # does not occur within the coded pixels


def has_end(file: int, form: str) -> bool:
    """Whether the format's own mark of the end is where it belongs; a file without it may still be whole.

    Args:
        file: descriptor; its position is left alone.
        form: as Pillow names formats; for PNG see `png`.
    """
    size = os.fstat(file).st_size
    if form in ("JPEG", "MPO"):
        return _JPEG_END in os.pread(file, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    if form == "WEBP":
        return size >= 8 + int(struct.unpack("<I", os.pread(file, 4, 4))[0])
    if form == "BMP":
        return size >= int(struct.unpack("<I", os.pread(file, 4, 2))[0])
    return False
