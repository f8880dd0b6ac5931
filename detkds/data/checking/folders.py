"""What belongs to a data set on disk: its annotation files, and the folder of their images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from detkds.data.checking.paths import join_below, tails
from detkds.errors import DatasetError

_SAMPLE = 50  # file names that a folder is recognised by
_MAX_FOLDERS = 200


def annotation_files(folder: Path) -> list[Path]:
    """The annotation files of a data set's folder: annotations/*.json, else *.json, else */*.json (as Roboflow lays them out).

    Where files are named instances_*.json, as COCO's are, only these: its captions, keypoints and panoptic files are of other formats.

    Raises:
        DatasetError: there are none.
    """
    for pattern in ("annotations/*.json", "*.json", "*/*.json"):
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
        if found:
            return [path for path in found if path.name.startswith("instances_")] or found
    raise DatasetError(f"{folder} has no annotation file (annotations/*.json, *.json or */*.json); give the path of one.")


def image_folder(annotations: Path, document: Any) -> Path | None:
    """The folder near an annotation file that has most of the images it names, of some that are tried; None if none has any.

    Nothing is opened. Folders looked at: the file's, the one above, `images` in both, and the folders in these.
    """
    images = document.get("images") if isinstance(document, dict) else None
    names = _names(images) if isinstance(images, list) else []
    folders = list(islice(_near(annotations.absolute()), _MAX_FOLDERS))
    hits = {folder: _hits(folder, names) for folder in folders}
    # At the same count the folder after which the file is named: train and val often number their images alike.
    best = max(folders, key=lambda folder: (hits[folder], folder.name in annotations.stem, -len(folder.parts)), default=None)
    return best if best is not None and any(hits[best]) else None


def _hits(folder: Path, names: list[str]) -> tuple[int, int]:
    """How many of the names are files there; and how many of the unsafe ones are by their last parts, as `--fix` would write them."""
    found = [_has(folder, name) for name in names]
    tails_found = sum(any(_has(folder, tail) for tail in tails(name)) for name, there in zip(names, found, strict=True) if not there)
    return sum(found), tails_found


def _names(images: list[Any]) -> list[str]:
    named = [image["file_name"] for image in images if isinstance(image, dict) and isinstance(image.get("file_name"), str)]
    return named[:: max(1, len(named) // _SAMPLE)][:_SAMPLE]


def _near(annotations: Path) -> Iterator[Path]:
    seen: set[Path] = set()
    for base in (annotations.parent, annotations.parent.parent):
        for root in (base, base / "images"):
            for folder in (root, *_inside(root)):
                if folder.is_dir() and folder not in seen:
                    seen.add(folder)
                    yield folder


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir())[:_MAX_FOLDERS]
    except OSError:
        return []


def _has(folder: Path, name: str) -> bool:
    try:
        return join_below(folder.resolve(), name).is_file()
    except (DatasetError, OSError):
        return False
