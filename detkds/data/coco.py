"""COCO data sets from outside: all their faults listed, or the data set itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detkds.data.checking.annotations import check_annotations
from detkds.data.checking.document import read
from detkds.data.checking.entries import identified, known_ids, unfit_keys
from detkds.data.checking.faults import Fault, Findings
from detkds.data.checking.folders import image_folder
from detkds.data.checking.frames import Frames, check_frames
from detkds.data.checking.images import check_images
from detkds.data.checking.names import has_hidden, likeness
from detkds.data.checking.parsing import without_collection
from detkds.data.checking.pictures import Look
from detkds.data.checking.readings import check_readings
from detkds.data.checking.rules import MAX_NAME
from detkds.data.checking.shifts import check_shifts
from detkds.data.checking.values import shown, why_unfit
from detkds.errors import DatasetError

LISTS = ("images", "annotations", "categories")
FIRST = 3  # faults that an error message names


@dataclass(frozen=True)
class Inspection:
    """What was found in one annotation file.

    Args:
        document: as parsed; None where it is not a COCO data set at all.
        findings: its faults, tolerated ones included.
        images: the image folder that was looked in; None where none was given or found.
        frames: the images whose annotations are, or may be, in another frame than detectors read.
    """

    document: dict[str, Any] | None
    findings: Findings
    images: Path | None = None
    frames: Frames = field(default_factory=Frames)


def inspect(
    annotations: Path, images: Path | None = None, *, look: Look = "headers", near: bool = False, labelled: bool = True
) -> Inspection:
    """Read and judge a COCO data set; nothing in it is trusted, and no file outside the image folder is opened.

    Args:
        annotations: the annotation file (instances format).
        images: the folder that file_name is relative to; None leaves the files themselves out.
        look: how closely the image files are looked at.
        near: without `images`, look for their folder near the file.
        labelled: whether there must be annotations.
    """
    findings = Findings(str(annotations))
    with without_collection():
        document = read(annotations, findings)
        readable = findings.sound or document is not None
        if near and images is None:
            images = image_folder(annotations, document)
        frames = judge(document, findings, images, look, labelled=labelled) if readable else None
    return Inspection(document if frames is not None else None, findings, images, frames or Frames())


def check(annotations: Path, images: Path | None = None, *, look: Look = "headers") -> list[Fault]:
    """All faults of a COCO data set, tolerated ones included; an empty list says that it is sound. Arguments as for `inspect`."""
    return inspect(annotations, images, look=look).findings.faults


def load(annotations: Path, images: Path | None = None, *, look: Look = "headers", labelled: bool = True) -> dict[str, Any]:
    """A sound COCO data set, as parsed; nothing is changed or left out. Arguments as for `inspect`.

    Raises:
        DatasetError: the data set has faults that are not tolerated; the message counts them and names the first few.
    """
    inspection = inspect(annotations, images, look=look, labelled=labelled)
    if not inspection.findings.sound:
        raise DatasetError(summary(inspection.findings))
    assert inspection.document is not None  # anything else is a fault that is not tolerated
    return inspection.document


def summary(findings: Findings) -> str:
    """One line for an error message: how many faults that are not tolerated, the first few, and the rules broken."""
    serious = [fault for fault in findings.faults if not fault.tolerated]
    first = "; ".join(f"{fault.subject}: {fault.detail} [{fault.rule}]" for fault in serious[:FIRST])
    rest = f"; and {len(serious) - FIRST} more" if len(serious) > FIRST else ""
    remedy = "`detkds data check` lists all of them and says what --fix can mend"
    return f"{findings.file}: {len(serious)} fault{'s' * (len(serious) > 1)}: {first}{rest}. Correct the file ({remedy}) and try again."


def judge(document: Any, findings: Findings, images: Path | None = None, look: Look = "headers", *, labelled: bool = True) -> Frames | None:
    """Note the faults of a parsed document; returns which images are to be turned, None where it has not the lists of a COCO data set."""
    if not _has_lists(document, findings, labelled):
        return None
    found = check_images(document["images"], images, look, findings)
    frames = check_frames(document, found, findings)
    categories = _check_categories(document["categories"], findings)
    check_readings(document, found.sizes, findings)
    check_shifts(document["annotations"], found.sizes, categories, findings)
    check_annotations(document["annotations"], found.sizes, categories, findings)
    return frames


def _has_lists(document: Any, findings: Findings, labelled: bool) -> bool:
    if not isinstance(document, dict):
        hint = ", as in a file of detections" if isinstance(document, list) else ""
        findings.add("file.structure", f"the top level is {shown(document)}, not an object{hint}")
        return False
    for key in LISTS:
        if not isinstance(document.get(key), list):
            what = f"{key} is {shown(document[key])}" if key in document else f"{key} is missing"
            findings.add("file.structure", f"{what}, not a list")
        elif not document[key] and (labelled or key != "annotations"):
            findings.add("file.empty", f"{key} is empty")
    for key in unfit_keys(document, frozenset(LISTS)):
        findings.add("file.other-value", f"key {shown(key)}: {why_unfit({key: document[key]})}")
    return all(isinstance(document.get(key), list) for key in LISTS)


def _check_categories(entries: list[Any], findings: Findings) -> set[int]:
    owners: dict[str, int] = {}
    alike: dict[str, int] = {}
    for place, entry, id in identified("category", entries, findings):
        name = entry["name"]
        if not (isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.strip() and not has_hidden(name)):
            findings.add("category.name", f"name is {shown(name)}", id, place)
        elif owners.setdefault(name, id) != id:
            findings.add("category.name-duplicate", f"{shown(name)} is also category {owners[name]}'s", id, place)
        elif (other := alike.setdefault(likeness(name), id)) != id:
            findings.add("category.name-alike", f"{shown(name)} looks like category {other}'s", id, place)
    return known_ids(entries)
