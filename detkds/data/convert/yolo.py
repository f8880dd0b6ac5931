"""YOLO's text labels: a file an image, a line an object, numbers as shares of width and height.

`class cx cy w h` is a box by its centre, `class x y x y x y ...` a polygon. An image without a label file, or with an empty one, shows no
object. Layouts: data.yaml with names and splits (Ultralytics, Roboflow), or folders images/SPLIT and labels/SPLIT, SPLIT/images and
SPLIT/labels, or images with labels beside them; without data.yaml the names are in classes.txt or obj.names, a line each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from detkds.data.checking.frames import READ, STATED
from detkds.data.checking.masks import Size
from detkds.data.checking.paths import tails
from detkds.data.checking.values import shown
from detkds.data.convert.building import SUFFIXES, Builder, Faults, lines_of, pictures, size_of
from detkds.errors import DatasetError
from detkds.yaml_reading import read_yaml, yaml_fault

SPLITS = ("train", "val", "valid", "test")
_YAMLS = ("data.yaml", "data.yml", "dataset.yaml")
_NAMES = ("classes.txt", "obj.names", "labels/classes.txt")
_MAX_YAML_BYTES = 2**20
_SLACK = 0.01  # shares may leave 0 to 1 so far: rounding
_TRIED = 200
ALL = "all"


def yolo(folder: Path) -> dict[str, dict[str, Any]]:
    """A COCO dict for each split of a folder, or one named `all`; `file_name` is relative to the folder.

    Boxes are in pixels of the array that detectors read, as YOLO's own trainers read images with OpenCV, too. `valid` becomes `val`.

    Raises:
        DatasetError: there are no names of classes, no images, or lines that break the format; the message names files and lines.
    """
    settings = _settings(folder)
    names = _names(folder, settings)
    faults, found = Faults(), {}
    for split, images in _splits(folder, settings).items():
        found[split] = _coco(folder, images, names, faults)
    faults.raise_any(folder)
    if not found:
        raise DatasetError(f"{folder} must hold images (*.jpg, *.png, ...) with labels of YOLO, but no image was found.")
    if not any(coco["annotations"] for coco in found.values()):
        raise DatasetError(f"{folder} has no labelled object: labels are looked for beside the images and in labels/ for images/.")
    return found


def has_labels(folder: Path) -> bool:
    """Whether a folder looks like a set of YOLO: a data.yaml, or a label beside one of the first images."""
    if any((folder / name).is_file() for name in _YAMLS):
        return True
    first = islice((path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES), _TRIED)
    return any(label_of(path).is_file() for path in first)


def label_of(image: Path) -> Path:
    """Where the label file of an image is: in labels/ where the image is in images/, else beside it."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index("images")
        parts[last] = "labels"
        label = Path(*parts).with_suffix(".txt")
        if label.is_file() or not image.with_suffix(".txt").is_file():
            return label
    return image.with_suffix(".txt")


def _settings(folder: Path) -> dict[str, Any]:
    path = next((folder / name for name in _YAMLS if (folder / name).is_file()), None)
    if path is None:
        return {}
    try:
        if path.stat().st_size > _MAX_YAML_BYTES:
            raise DatasetError(f"{path} has {path.stat().st_size:,} bytes; a data.yaml has at most {_MAX_YAML_BYTES:,}.")
        settings = read_yaml(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is not YAML: {yaml_fault(error)}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} must be YAML, but cannot be read: {shown(str(error))}; correct it.") from None
    if not isinstance(settings, dict):
        raise DatasetError(f"{path} must hold names and splits, but holds {shown(settings)}.")
    return settings


def _names(folder: Path, settings: dict[str, Any]) -> list[str]:
    names = settings.get("names")
    if isinstance(names, dict) and sorted(names, key=str) and all(isinstance(key, int) for key in names):
        if sorted(names) != list(range(len(names))):
            raise DatasetError(f"{folder}: names must have the numbers 0 to {len(names) - 1}, got {shown(sorted(names))}.")
        names = [names[number] for number in range(len(names))]
    if names is None:
        path = next((folder / name for name in _NAMES if (folder / name).is_file()), None)
        names = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()] if path else None
    if not isinstance(names, list) or not names:
        raise DatasetError(f"{folder} must name its classes: names in data.yaml, or a line each in classes.txt; add one of them.")
    if (count := settings.get("nc")) is not None and count != len(names):
        raise DatasetError(f"{folder}: nc is {shown(count)}, but there are {len(names)} names; correct data.yaml.")
    return [str(name) for name in names]


def _splits(folder: Path, settings: dict[str, Any]) -> dict[str, list[Path]]:
    base = str(settings.get("path") or "")
    named = {split: settings[split] for split in SPLITS if settings.get(split)}
    if named:
        return {_plain(split): _listed(folder, base, value, split) for split, value in named.items()}
    found: dict[str, list[Path]] = {}
    for split in SPLITS:
        for place in (folder / "images" / split, folder / split / "images", folder / split):
            if images := pictures(place):
                found[_plain(split)] = images
                break
    if found:
        return found
    images = pictures(folder)
    return {ALL: images} if images else {}


def _plain(split: str) -> str:
    return "val" if split == "valid" else split


def _listed(folder: Path, base: str, value: Any, split: str) -> list[Path]:
    """The images of a folder, of several, or of a list in a text file, as data.yaml names them; never outside of the set's folder."""
    found: list[Path] = []
    for entry in value if isinstance(value, list) else [value]:
        place = _below(folder, f"{base}/{entry}") if isinstance(entry, str) else None
        if place is None:
            raise DatasetError(f"{folder}: data.yaml names {shown(entry)} for {split}, which is not below the folder; correct it.")
        if place.is_dir():
            found += pictures(place)
            continue
        for line in filter(None, map(str.strip, place.read_text(errors="replace").splitlines())):
            image = _below(folder, line)
            if image is None:
                raise DatasetError(f"{place}: names {shown(line)}, which is not below {folder}; correct it.")
            found.append(image)
    if not found:
        raise DatasetError(f"{folder}: {split} has no images in {shown(value)}; correct data.yaml.")
    return found


def _below(folder: Path, name: str) -> Path | None:
    """What a path of data.yaml means: it may be absolute of another machine, or climb, as Roboflow's do; its last parts are below."""
    root = folder.resolve()
    for tail in tails(name):
        path = (root / tail).resolve()
        if path.is_relative_to(root) and path.exists():
            return folder / path.relative_to(root)
    return None


def _coco(folder: Path, images: list[Path], names: list[str], faults: Faults) -> dict[str, Any]:
    builder = Builder(names)
    for image in images:
        size = size_of(image, faults)
        if size is None:
            continue
        builder.add_image(image.relative_to(folder).as_posix(), size)
        label = label_of(image)
        if label.is_file():
            for category, box, polygon in _objects(label, size, len(names), faults):
                builder.add_object(category, box, polygon=polygon)
    return builder.coco({"description": f"converted from YOLO: {folder.name}", STATED: READ})


def _objects(label: Path, size: Size, classes: int, faults: Faults) -> Iterator[tuple[int, list[float], list[float] | None]]:
    for number, line in enumerate(lines_of(label, faults), 1):
        if not line.strip():
            continue
        try:
            yield _object(line.split(), size, classes)
        except ValueError as error:
            faults.add(f"{label}, line {number}", str(error))


def _object(words: list[str], size: Size, classes: int) -> tuple[int, list[float], list[float] | None]:
    """Class, box in pixels and polygon in pixels of one line.

    Raises:
        ValueError: it breaks the format.
    """
    try:
        category, *shares = (float(word) for word in words)
    except ValueError:
        raise ValueError(f"must be numbers, got {shown(' '.join(words))}") from None
    if not category.is_integer() or not 0 <= category < classes:
        raise ValueError(f"the class must be a whole number from 0 to {classes - 1}, got {shown(words[0])}")
    if len(shares) != 4 and (len(shares) < 6 or len(shares) % 2):
        raise ValueError(f"must be class, centre x, centre y, width, height, or class and points of a polygon, got {len(words)} numbers")
    if not all(math.isfinite(share) and -_SLACK <= share <= 1 + _SLACK for share in shares):
        raise ValueError(f"must have shares of width and height from 0 to 1, got {shown(' '.join(words))}; pixels are not shares")
    if len(shares) == 4:
        x, y, width, height = (share * side for share, side in zip(shares, size * 2, strict=True))
        return int(category), _clipped([x - width / 2, y - height / 2, x + width / 2, y + height / 2], size), None
    polygon = [min(max(share, 0), 1) * size[place % 2] for place, share in enumerate(shares)]
    corners = [min(polygon[::2]), min(polygon[1::2]), max(polygon[::2]), max(polygon[1::2])]
    return int(category), _clipped(corners, size), polygon


def _clipped(corners: list[float], size: Size) -> list[float]:
    """[x, y, width, height] of corners, without the hair by which rounded shares leave the image."""
    left, top = max(corners[0], 0.0), max(corners[1], 0.0)
    right, bottom = min(corners[2], size[0]), min(corners[3], size[1])
    if right <= left or bottom <= top:
        raise ValueError("the box has no area within its image")
    return [left, top, right - left, bottom - top]
