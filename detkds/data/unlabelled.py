"""Images without labels: a COCO document of them, made by looking at their files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detkds.data.checking.faults import Findings
from detkds.data.checking.images import check_images
from detkds.data.checking.paths import join_below, plain_parts
from detkds.data.checking.pictures import examined
from detkds.data.layout import IMAGE_SUFFIXES
from detkds.errors import DatasetError
from detkds.unlabelled import Unlabelled as Unlabelled

FIRST = 3  # faults that an error message names


def are_images(names: Iterable[str]) -> tuple[list[str], int]:
    """Those of the names that end like images, sorted, and how many others there are."""
    every = sorted(names)
    images = [name for name in every if Path(name).suffix.lower() in IMAGE_SUFFIXES]
    return images, len(every) - len(images)


def document(folder: Path, names: Sequence[str], categories: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A COCO document of images without annotations, each of the size of the array that detectors read from its file.

    The files are held to the rules of labelled images (`rules.RULES`), and none outside the folder is opened.

    Args:
        folder: of the images.
        names: of the files, relative to it; image ids count them from 1.
        categories: of the labelled data.

    Raises:
        DatasetError: no image was found, or files break rules; the message counts the faults and names the first few.
    """
    if not names:
        raise DatasetError(f"{folder} must hold images (data.unlabelled.images), but holds none; correct the folder, or leave the key out.")
    findings, entries = Findings(str(folder)), []
    for id, name in enumerate(names, 1):
        if (size := _size(folder, name, id, findings)) is not None:
            entries.append({"id": id, "file_name": name, "width": size[0], "height": size[1]})
    check_images(entries, folder, "headers", findings)
    if not findings.sound:
        raise DatasetError(_summary(findings, names))
    return {"images": entries, "annotations": [], "categories": list(categories)}


def drawn(whole: Mapping[str, Any], fraction: float, seed: int) -> dict[str, Any]:
    """A document with a share of the images, at least one, drawn without regard to what is in them; the order stays."""
    images = whole["images"]
    count = max(1, int(len(images) * fraction + 0.5))
    chosen = np.random.default_rng((seed, 1)).choice(len(images), count, replace=False)
    return {**whole, "images": [images[index] for index in sorted(chosen.tolist())]}


def _size(folder: Path, name: str, id: int, findings: Findings) -> tuple[int, int] | None:
    """(width, height) of a file that can be used; None where it breaks a rule, which is noted."""
    try:
        plain_parts(name)
        found = examined(join_below(folder.resolve(), name), None, "headers")
    except DatasetError as error:
        findings.add("image.file-name", str(error).rpartition(";")[0], id, id - 1)
        return None
    for rule, detail in found.breaches:
        findings.add(rule, detail, id, id - 1)
    return found.picture.size if found.picture and not found.breaches else None


def _summary(findings: Findings, names: Sequence[str]) -> str:
    serious = [fault for fault in findings.faults if not fault.tolerated]
    told = (f"{names[fault.id - 1]!r}: {fault.detail} [{fault.rule}]" if fault.id else str(fault) for fault in serious[:FIRST])
    rest = f"; and {len(serious) - FIRST} more" if len(serious) > FIRST else ""
    count = f"{len(serious)} fault{'s' * (len(serious) > 1)}"
    return f"unlabelled images {findings.file}: {count}: {'; '.join(told)}{rest}. Remove or repair these files and try again."
