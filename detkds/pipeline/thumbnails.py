"""Small copies of images, for pages about them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from detkds.data.checking import reading
from detkds.data.checking.paths import safe_join
from detkds.errors import DatasetError

SIDE = 480
"""Pixels of the longer side at most."""
QUALITY = 80


def write_thumbnail(images: Path, file_name: str, out: Path) -> None:
    """Write a JPEG of an image: turned as detectors see it, at most SIDE pixels, without its EXIF data, which may hold place and owner.

    Args:
        images: the image folder.
        file_name: of the image, from a data set whose sizes are checked; never followed out of the folder.
        out: of the JPEG; its folder is made.

    Raises:
        DatasetError: an unsafe name, or no image that can be read.
    """
    path = safe_join(images, file_name)
    try:
        small = Image.fromarray(reading.read(path)[:, :, ::-1])
    except (OSError, reading.UnreadError) as error:
        raise DatasetError(f"image {path} cannot be read as an image: {error}") from error
    small.thumbnail((SIDE, SIDE))
    out.parent.mkdir(exist_ok=True)
    small.save(out, "JPEG", quality=QUALITY, exif=b"")
