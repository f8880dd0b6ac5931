"""Layout: what a folder holds, found by looking: COCO annotation files with their image folders, YOLO labels, or Pascal VOC files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkds.data.convert.kinds import kind_of
from detkds.errors import DatasetError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
TRAIN_WORDS, TEST_WORDS = ("train",), ("test", "val")
"""Words in a file's path that say which split it is; of several words for the test set, the first one found is taken."""
MAX_DEPTH, LOOKED_AT = 4, 20


@dataclass(frozen=True)
class CocoSplit:
    """One COCO annotation file.

    Args:
        annotations, images: relative to the folder that was looked at; `images` is "" where names are relative to the folder itself.
        categories: names in the order of the file.
        image_count, object_count: how many.
        masks: whether most objects have one.
        size: (width, height) in pixels that most images have, as the file says.
    """

    annotations: str
    images: str
    categories: tuple[str, ...]
    image_count: int
    object_count: int
    masks: bool
    size: tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """What a folder holds. `format` is coco, yolo or voc; `splits` are only known of COCO files."""

    format: str
    splits: tuple[CocoSplit, ...] = ()

    def split(self, words: Sequence[str]) -> CocoSplit | None:
        """The split whose path has one of the words; an earlier word is preferred."""
        for word in words:
            found = [split for split in self.splits if word in split.annotations.lower()]
            if found:
                return max(found, key=lambda split: split.image_count)
        return None


def look_at(folder: Path) -> Layout:
    """The layout of a folder.

    Raises:
        DatasetError: the path is not a folder, or the folder holds none of the three formats; the message lists what was looked for.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} must be a folder with images and annotations, but is none.")
    splits = tuple(_coco_splits(folder))
    if splits:
        return Layout("coco", splits)
    if (kind := kind_of(folder)) is not None:
        return Layout(kind)
    for inside in sorted(path for pattern in ("*/", "*/*/") for path in folder.glob(pattern)):
        if kind_of(inside) is not None:
            raise DatasetError(f"{folder} holds no annotations itself, but {inside} does; name that folder instead.")
    raise DatasetError(
        f"{folder} holds no annotations that are known: looked for COCO (*.json with `images` and `annotations`, up to four folders deep), "
        "YOLO (data.yaml or labels/*.txt) and Pascal VOC (Annotations/*.xml)."
    )


def _coco_splits(folder: Path) -> Iterator[CocoSplit]:
    for path in sorted(folder.glob("**/*.json")):
        if len(path.relative_to(folder).parts) <= MAX_DEPTH and (content := _coco(path)) is not None:
            yield _split(folder, path, content)


def _coco(path: Path) -> dict[str, Any] | None:
    """The content of a COCO annotation file with boxes; None where it is another JSON file."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations", "categories"))
    boxes = known and any(isinstance(entry, dict) and "bbox" in entry for entry in content["annotations"][:LOOKED_AT])
    return content if boxes else None


def _split(folder: Path, path: Path, content: dict[str, Any]) -> CocoSplit:
    names = [str(image.get("file_name", "")) for image in content["images"][:LOOKED_AT] if isinstance(image, dict)]
    sizes = Counter((image.get("width"), image.get("height")) for image in content["images"] if isinstance(image, dict))
    width, height = max(sizes, key=lambda size: sizes[size], default=(0, 0))
    masked = sum(bool(isinstance(entry, dict) and entry.get("segmentation")) for entry in content["annotations"])
    return CocoSplit(
        annotations=path.relative_to(folder).as_posix(),
        images=_image_folder(folder, path, names),
        categories=tuple(str(category.get("name")) for category in content["categories"] if isinstance(category, dict)),
        image_count=len(content["images"]),
        object_count=len(content["annotations"]),
        masks=2 * masked > len(content["annotations"]),
        size=(int(width or 0), int(height or 0)),
    )


def _image_folder(folder: Path, path: Path, names: Sequence[str]) -> str:
    """The folder below `folder` that has most of the named images; of several, as where each split numbers its images from 1, the one that
    belongs to the annotation file.

    Raises:
        DatasetError: no folder has one of them, or several have as many and their names do not say which is meant.
    """
    places = _with_most(folder, path, names)
    if not places:
        raise DatasetError(f"{path}: none of its images is below {folder}, for example {names[0] if names else '(no image named)'}.")
    meant = _belonging(folder, path, places)
    if len(meant) > 1:
        raise DatasetError(
            f"{path}: {', '.join(str(place) for place in meant[:3])} each have its images, such as {names[0]}, and their names do not say "
            "which are meant; name the folder of the images like the annotation file, or write a run.yaml by hand."
        )
    return "" if meant[0] == folder else meant[0].relative_to(folder).as_posix()


def _with_most(folder: Path, path: Path, names: Sequence[str]) -> list[Path]:
    """The folders below `folder`, itself and that of the annotation file among them, that have most of the named images; empty where none
    has one."""
    below = [place for place in sorted(folder.glob("**/")) if len(place.relative_to(folder).parts) <= MAX_DEPTH]
    counts = {place: sum((place / name).is_file() for name in names) for place in dict.fromkeys((path.parent, *below))}
    most = max(counts.values())
    return [place for place in counts if most and counts[place] == most]


def _belonging(folder: Path, path: Path, places: Sequence[Path]) -> list[Path]:
    """That of the annotation file, or those with most of their names in its name."""
    if path.parent in places:
        return [path.parent]

    def shared(place: Path) -> int:
        return sum(len(part) > 2 and part.lower() in path.stem.lower() for part in place.relative_to(folder).parts)

    return [place for place in places if shared(place) == max(map(shared, places))]
