"""Pascal VOC's XML: a file an image, with boxes by their corners.

Layouts: Annotations/, JPEGImages/ and ImageSets/Main/SPLIT.txt as the challenge has them, or SPLIT/*.xml beside their images (Roboflow),
or *.xml beside images or in Annotations/ without splits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from detkds.data.checking.frames import READ, STATED
from detkds.data.checking.masks import Size
from detkds.data.checking.values import shown
from detkds.data.convert.building import SUFFIXES, Builder, Faults, size_of
from detkds.errors import DatasetError

SPLITS = ("train", "val", "valid", "test", "trainval")
ALL = "all"
_MAX_BYTES = 4 * 2**20
_ROOT = b"<annotation"


@dataclass(frozen=True)
class _Object:
    name: str
    corners: list[float]
    difficult: bool


@dataclass(frozen=True)
class _Page:
    """One XML file as read: the image's file, its size as detectors read it, its objects."""

    image: Path
    size: Size
    objects: list[_Object]


def voc(folder: Path) -> dict[str, dict[str, Any]]:
    """A COCO dict for each split of a folder, or one named `all`; `file_name` is relative to the folder.

    The challenge counts pixels from 1 and its corners belong to the box: x = xmin - 1, width = xmax - xmin + 1. Where any xmin or ymin of
    the set is below 1 its tool counted from 0: x = xmin, width = xmax - xmin. Classes are in order of their names; objects marked difficult
    become crowd regions, which are neither trained on nor counted. `valid` becomes `val`; `trainval` is left out where train or val are.

    Raises:
        DatasetError: there is no XML of Pascal VOC, an image is missing, or files break the format; the message names them.
    """
    faults = Faults()
    pages = {split: [_page(path, folder, faults) for path in paths] for split, paths in _splits(folder).items()}
    faults.raise_any(folder)
    found = {split: [page for page in each if page] for split, each in pages.items()}
    names = sorted({item.name for each in found.values() for page in each for item in page.objects})
    if not names:
        raise DatasetError(f"{folder} must hold XML of Pascal VOC with objects, but holds none; look for Annotations/*.xml.")
    first = 0 if any(min(item.corners) < 1 for each in found.values() for page in each for item in page.objects) else 1
    return {split: _coco(folder, each, names, first) for split, each in found.items()}


def annotation_folders(folder: Path) -> list[Path]:
    """The folders with XML of Pascal VOC, of the places where it may be: the first few files of each are looked at."""
    places = [folder, folder / "Annotations", folder / "annotations", *(folder / split for split in SPLITS)]
    return [place for place in places if any(_is_voc(path) for path in islice(place.glob("*.xml"), 3))]


def _is_voc(path: Path) -> bool:
    with path.open("rb") as file:
        return _ROOT in file.read(1024)


def _splits(folder: Path) -> dict[str, list[Path]]:
    lists = sorted((folder / "ImageSets" / "Main").glob("*.txt"))
    home = next((folder / name for name in ("Annotations", "annotations") if (folder / name).is_dir()), folder)
    named = {path.stem: path for path in lists if path.stem in SPLITS}
    if named.keys() & {"train", "val"}:
        named.pop("trainval", None)
    if named:
        return {_plain(split): [home / f"{line.split()[0]}.xml" for line in _lines(path)] for split, path in named.items()}
    apart = {_plain(split): sorted((folder / split).rglob("*.xml")) for split in SPLITS}
    return {split: paths for split, paths in apart.items() if paths} or {ALL: sorted(home.glob("*.xml"))}


def _plain(split: str) -> str:
    return "val" if split == "valid" else split


def _lines(path: Path) -> Iterable[str]:
    return (line for line in path.read_text(errors="replace").splitlines() if line.strip())


def _page(path: Path, folder: Path, faults: Faults) -> _Page | None:
    try:
        root = _root(path)
        image = _image(path, root.findtext("filename") or "", folder)
        objects = [_object(element) for element in root.findall("object")]
    except ValueError as error:
        faults.add(path, str(error))
        return None
    size = size_of(image, faults)
    if size is None:
        return None
    declared = tuple(root.findtext(f"size/{side}") or "" for side in ("width", "height"))
    if any(declared) and declared != (str(size[0]), str(size[1])) and declared != ("0", "0"):
        faults.add(path, f"size is {shown(' x '.join(declared))}, but detectors read {size[0]} x {size[1]} pixels from {image.name}")
        return None
    return _Page(image, size, objects)


def _root(path: Path) -> ElementTree.Element:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    if len(text) > _MAX_BYTES:
        raise ValueError(f"has {len(text):,} bytes, at most {_MAX_BYTES:,}")
    if b"\0" in text:  # UTF-16 would hide what is looked for next
        raise ValueError("is not UTF-8; save it so")
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ValueError("declares a document type or entities, which XML of Pascal VOC has none of")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"is not XML ({shown(str(error))})") from None
    if root.tag != "annotation":
        raise ValueError(f"must be an <annotation> of Pascal VOC, got <{shown(root.tag)}>")
    return root


def _image(path: Path, name: str, folder: Path) -> Path:
    """The image of an XML file: of its <filename>, else of its own name; beside it, in JPEGImages/ or in images/."""
    stems = [Path(name.replace("\\", "/")).name, path.stem]
    places = [path.parent, *(folder / inside for inside in ("JPEGImages", "images", "Images", "."))]
    for stem in filter(None, stems):
        for place in places:
            exact = place / stem
            if exact.suffix.lower() in SUFFIXES and exact.is_file():
                return exact
    for place in places:
        for suffix in sorted(SUFFIXES | {suffix.upper() for suffix in SUFFIXES}):
            if (place / f"{path.stem}{suffix}").is_file():
                return place / f"{path.stem}{suffix}"
    raise ValueError(f"has no image {shown(name or path.stem)} beside it, in JPEGImages/ or in images/")


def _object(element: ElementTree.Element) -> _Object:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise ValueError("an object has no name")
    try:
        corners = [float(element.findtext(f"bndbox/{key}") or "") for key in ("xmin", "ymin", "xmax", "ymax")]
    except ValueError:
        raise ValueError(f"an object {shown(name)} has no bndbox of four numbers xmin, ymin, xmax, ymax") from None
    if not all(map(math.isfinite, corners)) or corners[2] < corners[0] or corners[3] < corners[1]:
        raise ValueError(f"an object {shown(name)} has the corners {shown(corners)}, not xmin <= xmax and ymin <= ymax")
    return _Object(name, corners, (element.findtext("difficult") or "0").strip() == "1")


def _coco(folder: Path, pages: list[_Page], names: list[str], first: int) -> dict[str, Any]:
    builder = Builder(names)
    for page in pages:
        builder.add_image(page.image.relative_to(folder).as_posix(), page.size)
        for item in page.objects:
            xmin, ymin, xmax, ymax = item.corners
            box = [xmin - first, ymin - first, xmax - xmin + first, ymax - ymin + first]
            builder.add_object(names.index(item.name), box, crowd=item.difficult)
    counted = f"pixels counted from {first}"
    return builder.coco({"description": f"converted from Pascal VOC: {folder.name}, {counted}", STATED: READ})
