"""The detections of one image, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from detkds.errors import DatasetError

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")
"""Of the classes, in the order in which they come up; far apart also in grey."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One object that was found.

    Args:
        label: name of its class.
        score: in [0, 1].
        box: x1, y1, x2, y2 in pixels of the image as it is seen, upright.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]


def draw(image: str | Path | Image.Image, predictions: Iterable[Prediction], *, min_score: float = 0.3) -> Image.Image:
    """A copy of an image with a box, class and score for each prediction.

    Args:
        image: a file, or an image of Pillow; a file with an orientation in its EXIF data is turned upright, as detectors see it.
        predictions: what to draw, the later ones over the earlier.
        min_score: predictions below it are left out.

    Raises:
        DatasetError: the file cannot be read as an image.

    >>> drawn = draw(Image.new("RGB", (20, 20)), [Prediction("cell", 0.9, (2, 2, 12, 12))])
    >>> drawn.getpixel((2, 2)), drawn.getpixel((18, 18))
    ((230, 25, 75), (0, 0, 0))
    """
    canvas = upright(image).copy()
    pen = ImageDraw.Draw(canvas)
    colours: dict[str, str] = {}
    for found in predictions:
        if found.score < min_score:
            continue
        colour = colours.setdefault(found.label, COLOURS[len(colours) % len(COLOURS)])
        left, top, right, bottom = found.box
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=2)
        pen.text((left + 4, top + 3), f"{found.label} {found.score:.2f}", fill=colour)
    return canvas


def upright(image: str | Path | Image.Image) -> Image.Image:
    """An image in RGB, turned as its EXIF data say.

    Raises:
        DatasetError: the file cannot be read as an image.
    """
    if isinstance(image, Image.Image):
        return ImageOps.exif_transpose(image).convert("RGB")
    try:
        with Image.open(image) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(f"image {image} cannot be read as an image: {error}; give the path of a JPEG or PNG.") from None
