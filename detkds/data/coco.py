"""COCO data sets from outside: all their faults listed, or the data set itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detkds.data.annotations import check_annotations
from detkds.data.document import read
from detkds.data.entries import identified, known_ids
from detkds.data.faults import Fault, Findings, deeper_than, shown
from detkds.data.images import check_images
from detkds.data.paths import has_controls
from detkds.errors import DatasetError

LISTS = ("images", "annotations", "categories")
FIRST = 3  # faults that an error message names
MAX_NAME = 200


def check(annotations: Path, images: Path | None = None, *, open_images: bool = False) -> list[Fault]:
    """All faults of a COCO data set, tolerated ones included; an empty list says that it is sound.

    Args:
        annotations: the annotation file (instances format).
        images: the folder that file_name is relative to; None leaves the files themselves out.
        open_images: also decode every image and compare its size.
    """
    return _inspect(annotations, images, open_images)[1]


def load(annotations: Path, images: Path | None = None) -> dict[str, Any]:
    """A sound COCO data set, as parsed; nothing is changed or left out.

    Args:
        annotations: the annotation file (instances format).
        images: the folder that file_name is relative to; None leaves the files themselves out.

    Raises:
        DatasetError: the data set has faults that are not tolerated; the message counts them and names the first few.
    """
    document, faults = _inspect(annotations, images, False)
    serious = [fault for fault in faults if not fault.tolerated]
    if serious:
        raise DatasetError(summary(str(annotations), serious))
    assert isinstance(document, dict)  # anything else is a serious fault
    return document


def summary(file: str, faults: list[Fault]) -> str:
    """One line for an error message: how many faults, the first few, and the rules broken."""
    first = "; ".join(f"{fault.subject}: {fault.detail} [{fault.rule}]" for fault in faults[:FIRST])
    rest = f"; and {len(faults) - FIRST} more" if len(faults) > FIRST else ""
    return f"{file}: {len(faults)} fault{'s' * (len(faults) > 1)}: {first}{rest}. Correct the file and try again."


def _inspect(annotations: Path, images: Path | None, open_images: bool) -> tuple[Any, list[Fault]]:
    findings = Findings(str(annotations))
    document = read(annotations, findings)
    if findings.faults or not _has_lists(document, findings):
        return None, findings.faults
    sizes = check_images(document["images"], images, open_images, findings)
    categories = _check_categories(document["categories"], findings)
    check_annotations(document["annotations"], sizes, categories, findings)
    return document, findings.faults


def _has_lists(document: Any, findings: Findings) -> bool:
    if not isinstance(document, dict):
        findings.add("file.structure", f"the top level is {shown(document)}, not an object")
        return False
    for key in LISTS:
        if not isinstance(document.get(key), list):
            what = f"{key} is {shown(document[key])}" if key in document else f"{key} is missing"
            findings.add("file.structure", f"{what}, not a list")
        elif not document[key]:
            findings.add("file.empty", f"{key} is empty")
    for key in document.keys() - set(LISTS):
        if deeper_than(document[key]):
            findings.add("file.too-deep", f"key {shown(key)}")
    return all(isinstance(document.get(key), list) for key in LISTS)


def _check_categories(entries: list[Any], findings: Findings) -> set[int]:
    owners: dict[str, int] = {}
    for entry, id in identified("category", entries, ("id", "name"), findings):
        name = entry["name"]
        if not (isinstance(name, str) and 0 < len(name) <= MAX_NAME and not has_controls(name)):
            findings.add("category.name", f"name is {shown(name)}", id)
        elif owners.setdefault(name, id) != id:
            findings.add("category.name-duplicate", f"{shown(name)} is also category {owners[name]}'s", id)
    return known_ids(entries)
