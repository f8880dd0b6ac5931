"""Images that occur twice: by content in one data set, and in several that should have none in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detkds.data.checking.faults import Findings
from detkds.data.checking.paths import join_below
from detkds.data.checking.values import shown
from detkds.data.same_files import same_files
from detkds.errors import DatasetError

Owner = tuple[str, int]
"""Annotation file and image id."""


def image_files(file: str, document: dict[str, Any], images: Path) -> dict[Owner, Path]:
    """The image files of a data set that exist; names that are refused have none."""
    root, found = images.resolve(), {}
    for image in document["images"]:
        try:
            path = join_below(root, image["file_name"])
        except (DatasetError, KeyError, TypeError):
            continue
        if type(image.get("id")) is int and path.is_file():
            found[file, image["id"]] = path
    return found


def note_same_content(files: Mapping[Owner, Path], earlier: Iterable[Mapping[Owner, Path]], findings: Findings) -> None:
    """Note the files that have the same bytes as another of the data set or of one looked at earlier; one file named twice is none.

    Raises:
        DatasetError: a file cannot be read.
    """
    everything = {owner: path for each in (*earlier, files) for owner, path in each.items()}
    for first, *others in same_files(everything):
        for owner in others:
            if owner in files and files[owner] != everything[first]:
                where = f"image {first[1]}" if first[0] == owner[0] else f"image {first[1]} of {first[0]}"
                findings.add("image.same-content", f"{shown(files[owner].name)} has the bytes of {where}", owner[1])


def shared(one: Mapping[Owner, Path], other: Mapping[Owner, Path]) -> int:
    """How many files of `one` are in `other` too."""
    return len(set(one.values()) & set(other.values()))
