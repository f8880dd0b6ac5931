"""The EXIF orientation of an image file, read as OpenCV reads it, whose readers detectors use."""

from __future__ import annotations

import struct

UPRIGHT = 1
SIDEWAYS = 5  # orientations 5 to 8 exchange width and height
_MARK = b"Exif\0\0"
_TAG = 0x0112
_ENTRY_BYTES = 12


def orientation(block: bytes) -> int:
    """1 to 8 of an EXIF block; 1, upright, where it has none that OpenCV takes.

    OpenCV (modules/imgcodecs/src/exif.cpp) looks into the first directory only, and takes the two bytes where the value begins whatever its
    type is said to be.
    """
    tiff = block.removeprefix(_MARK)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for place in range(directory + 2, directory + 2 + _ENTRY_BYTES * count, _ENTRY_BYTES):
            (tag,) = struct.unpack_from(f"{order}H", tiff, place)
            if tag == _TAG:
                (value,) = struct.unpack_from(f"{order}H", tiff, place + 8)
                return int(value) if 1 <= value <= 8 else UPRIGHT
    except struct.error:  # cut off
        pass
    return UPRIGHT
