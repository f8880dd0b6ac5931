"""Which format a folder has, and its converter."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from detkds.data.convert.voc import annotation_folders, voc
from detkds.data.convert.yolo import has_labels, yolo
from detkds.errors import DatasetError

Kind = Literal["yolo", "voc"]


def kind_of(folder: Path) -> Kind | None:
    """The format of a data set's folder, by the files in it; None if it is neither."""
    if annotation_folders(folder):
        return "voc"
    return "yolo" if has_labels(folder) else None


def converted(folder: Path, kind: Kind | None = None) -> dict[str, dict[str, Any]]:
    """A COCO dict for each split of a folder; `file_name` is relative to the folder.

    Args:
        folder: of a data set.
        kind: its format; None recognises it.

    Raises:
        DatasetError: it is of no known format, or breaks the rules of its format.
    """
    known = kind or kind_of(folder)
    if known is None:
        raise DatasetError(f"{folder} must hold labels of YOLO (.txt beside or in labels/) or XML of Pascal VOC, but holds neither.")
    return yolo(folder) if known == "yolo" else voc(folder)
