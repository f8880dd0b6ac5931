"""A COCO dict built image by image, and the faults met on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detkds.data.checking.masks import Size
from detkds.data.checking.pictures import examined
from detkds.data.checking.values import shown
from detkds.errors import DatasetError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
_FIRST = 5  # faults that an error message names


class Builder:
    """Images, annotations and categories with ids from 1, in the order in which they are added.

    Args:
        names: of the classes.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]

    def add_image(self, file_name: str, size: Size) -> None:
        """The image that the next annotations are of."""
        self._images.append({"id": len(self._images) + 1, "file_name": file_name, "width": size[0], "height": size[1]})

    def add_object(self, category: int, box: list[float], *, polygon: list[float] | None = None, crowd: bool = False) -> None:
        """An object on the last image; `category` is the place of its class in `names`."""
        entry = {
            "id": len(self._annotations) + 1,
            "image_id": len(self._images),
            "category_id": category + 1,
            "bbox": box,
            "area": area(polygon) if polygon else box[2] * box[3],
            "iscrowd": int(crowd),
        }
        self._annotations.append(entry | ({"segmentation": [polygon]} if polygon else {}))

    def coco(self, info: dict[str, Any]) -> dict[str, Any]:
        """The COCO dict."""
        return {"info": info, "images": self._images, "annotations": self._annotations, "categories": self._categories}


class Faults:
    """What is wrong with the files of a set: all of it is looked for before anything is refused."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def add(self, place: Path | str, reason: str) -> None:
        """Note a fault."""
        self._said.append(f"{place}: {reason}")

    def raise_any(self, folder: Path) -> None:
        """Refuse the set if there was one.

        Raises:
            DatasetError: the message counts them and names the first few.
        """
        if self._said:
            rest = f"; and {len(self._said) - _FIRST} more" if len(self._said) > _FIRST else ""
            faults = f"{len(self._said)} fault{'s' * (len(self._said) > 1)}"
            raise DatasetError(f"{folder}: {faults}: {'; '.join(self._said[:_FIRST])}{rest}. Correct the files and convert again.")


def size_of(path: Path, faults: Faults) -> Size | None:
    """(width, height) of the array that detectors read from an image; None after noting why it has none."""
    found = examined(path, None, "headers")
    if found.picture is None:
        faults.add(path, found.breaches[0][1])
        return None
    return found.picture.size


def pictures(folder: Path) -> list[Path]:
    """The image files of a folder and those below, by name; links to folders are left out."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def lines_of(path: Path, faults: Faults) -> list[str]:
    """The lines of a text file; none after noting that it is not text."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        faults.add(path, f"is not readable text ({shown(str(error))})")
        return []


def area(polygon: list[float]) -> float:
    """Of a polygon x, y, x, y, ... in square pixels."""
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True))) / 2
