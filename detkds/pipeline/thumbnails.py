"""Small copies of images, for pages about them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

from detkds.data.checking.paths import safe_join
from detkds.data.checking.pictures import FORMATS
from detkds.errors import DatasetError

SIDE = 480
"""Pixels of the longer side at most."""
QUALITY = 80


def write_thumbnail(images: Path, file_name: str, out: Path) -> None:
    """Write a JPEG of an image: upright as detectors see it, at most SIDE pixels, without its EXIF data, which may hold place and owner.

    Args:
        images: the image folder.
        file_name: of the image, from a data set whose sizes are checked; never followed out of the folder.
        out: of the JPEG; its folder is made.

    Raises:
        DatasetError: an unsafe name, or no image that can be read.
    """
    path = safe_join(images, file_name)
    try:
        with Image.open(path, formats=FORMATS) as opened:
            opened.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG decodes at a fraction of its size
            small = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(f"image {path} cannot be read as an image: {error}") from error
    small.thumbnail((SIDE, SIDE))
    out.parent.mkdir(exist_ok=True)
    small.save(out, "JPEG", quality=QUALITY, exif=b"")
