"""A repaired copy of a data set: what is at fault is mended where nothing has to be made up for it, and left out where not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from detkds.data.checking.entries import unfit_keys
from detkds.data.checking.faults import Fault, Findings
from detkds.data.checking.frames import Frames
from detkds.data.checking.parsing import without_collection
from detkds.data.checking.pictures import Look
from detkds.data.checking.readings import READINGS
from detkds.data.coco import LISTS, Inspection, judge, summary
from detkds.data.repair.conversion import convert, turn
from detkds.data.repair.draft import LIST_OF, Change, Draft
from detkds.data.repair.numbers import whole
from detkds.data.repair.remedies import REMEDIES
from detkds.errors import DatasetError

# Said of the text of the file; what was parsed is free of them.
_BY_WRITING = {"file.duplicate-key": "last value kept", "file.not-utf8": "written as UTF-8 without a mark"}
_OF_READING = {"annotation.box-reading", "annotation.box-outside", "annotation.box-negative"}  # may go once boxes are read rightly
BARE = "image.bare"
SHIFTED = "annotation.ids-shifted"
"""Judged of the file as it is: once images are left out, the ids that remain may look so by chance."""


@dataclass(frozen=True)
class Named:
    """What the person knows about a set that its numbers do not show.

    Args:
        boxes: what the four numbers are, a key of READINGS; None where they are COCO's unless the set shows otherwise, which is then asked.
        frame: in which frame the annotations of pictures with an EXIF orientation are; None where the set shows it.
    """

    boxes: str | None = None
    frame: Literal["stored", "upright"] | None = None


NOTHING_NAMED = Named()


@dataclass(frozen=True)
class Repaired:
    """A sound data set and what was done to get it.

    Args:
        document: a COCO dict in which `check` finds nothing that stops a run. Entries that needed nothing are the original's.
        changes: one for each thing done.
        thinned: images that are kept but lost some of their annotations, whose objects would be taught as background.
    """

    document: dict[str, Any]
    changes: Sequence[Change]
    thinned: int = 0

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How often each thing was done, by (rule, done)."""
        return Counter((change.rule, change.done) for change in self.changes)


def repair(inspection: Inspection, *, look: Look = "headers", named: Named = NOTHING_NAMED) -> Repaired:
    """Repair or drop what is at fault, until no fault is left.

    Boxes and polygons are clipped to their image. A mask that cannot be read is dropped and its box is kept. Annotations with duplicate ids
    get new ones. Annotations of pictures with an EXIF orientation are turned into the frame that detectors read, and boxes in another form
    are converted if the form is named. Images and categories that cannot be used are dropped with their annotations. An image that lost
    all its annotations is dropped as well: if kept, it would teach that it shows nothing.

    Args:
        inspection: as `inspect` gives it.
        look: that of the inspection.
        named: what is known beside the set.

    Raises:
        DatasetError: the file is not a COCO data set that could be read, the image folder is missing, nothing is left to keep, or only a
            person can say what is meant.
    """
    findings, frames = inspection.findings, inspection.frames
    if inspection.document is None or "folder.missing" in findings.counts:
        raise DatasetError(f"there is nothing to repair: {summary(findings)}")
    for fault in findings.faults:
        if fault.rule == SHIFTED:
            raise DatasetError(f"{fault.file}: {fault.detail}; correct the ids in the source.")
    with without_collection():
        draft = Draft(inspection.document, inspection.images)
        draft.changes += [Change(fault.rule, _BY_WRITING[fault.rule]) for fault in findings.faults if fault.rule in _BY_WRITING]
        annotated = _annotated(draft.list("annotation"))
        tried: set[tuple[str, int, str]] = set()
        while round_ := _serious(findings):
            looked = _mend_round(draft, round_, frames, named, tried)
            findings = Findings(findings.file)
            frames = judge(draft.document, findings, inspection.images if looked else None, look) or frames
        _drop_bare(draft, inspection.document, annotated)
    _require_some(draft, inspection.findings)
    return Repaired(draft.document, tuple(draft.changes), _thinned(draft, inspection.document))


def _serious(findings: Findings) -> list[Fault]:
    """What is to be mended next: images and categories first, as faults of annotations may go with theirs."""
    faults = [fault for fault in findings.faults if not fault.tolerated and fault.rule not in {"file.empty", SHIFTED, *_BY_WRITING}]
    return [fault for fault in faults if fault.kind != "annotation"] or faults


def _mend_round(draft: Draft, faults: list[Fault], frames: Frames, named: Named, tried: set[tuple[str, int, str]]) -> bool:
    """Do what one round asks for; tells whether images were at fault, so that their files are to be looked at again.

    Raises:
        DatasetError: only a person can say what is meant.
    """
    firsts = {fault.rule: fault for fault in reversed(faults)}
    if depth := firsts.get("image.depth"):
        raise DatasetError(f"{depth.file}: {depth.detail}; scale the values to 0 to 65535, or write 8 bits per sample.")
    if asked := firsts.get("image.exif"):
        if frames.of is None and named.frame is None:
            raise DatasetError(f"{asked}; say which frame they are in with --frame stored or --frame upright.")
        turn(draft, frames, named.frame)
        return True
    if reading := firsts.get("annotation.box-reading"):
        if named.boxes is None:
            raise DatasetError(f"{reading.file}: {reading.detail}; say what they are with --boxes {', '.join(READINGS)}.")
        others = [fault for fault in faults if fault.rule not in _OF_READING]
        if not others:
            convert(draft, named.boxes)
        faults = others
    _mend(draft, faults, tried)
    return any(fault.kind == "image" for fault in faults)


def _mend(draft: Draft, faults: list[Fault], tried: set[tuple[str, int, str]]) -> None:
    """Apply the remedies, each once to an entry, however often that breaks the rule.

    An entry that breaks a rule again in a later round is left out, so that rounds come to an end.
    """
    dropped: dict[str, set[int]] = {kind: set() for kind in LIST_OF}
    now: set[tuple[str, int, str]] = set()
    for fault in faults:
        if fault.rule == "file.other-value":
            _drop_unfit(draft)
        elif fault.place is not None and fault.place not in dropped[fault.kind]:
            origin = draft.origins[fault.kind][fault.place]
            if (what := (fault.kind, origin, fault.rule)) in now:
                continue
            now.add(what)
            remedy = None if what in tried else REMEDIES.get(fault.rule)
            done = remedy(draft, draft.editable(fault.kind, fault.place)) if remedy else None
            change = Change(fault.rule, done or "dropped", fault.id, origin)
            if change.dropped:
                dropped[fault.kind].add(fault.place)
            draft.changes.append(change)
    tried |= now
    for kind, places in dropped.items():
        draft.settle(kind, places)


def _drop_unfit(draft: Draft) -> None:
    for key in unfit_keys(draft.document, frozenset(LISTS)):
        del draft.document[key]
        draft.changes.append(Change("file.other-value", "value dropped, the rest kept"))


def _annotated(entries: list[Any]) -> set[Any]:
    """The images that annotations name, as whole numbers where they can be."""
    named = [entry.get("image_id") for entry in entries if isinstance(entry, dict)]
    return {_plain(id) for id in named if isinstance(id, (int, float, str))}


def _plain(id: Any) -> Any:
    known = whole(id)
    return id if known is None else known


def _drop_bare(draft: Draft, before: dict[str, Any], annotated: set[Any]) -> None:
    """Leave out the images of which all annotations went; `before` is the data set as it came."""
    left = _annotated(draft.list("annotation"))
    came = [_plain(before["images"][origin]["id"]) for origin in draft.origins["image"]]
    places = {place for place, image in enumerate(draft.list("image")) if came[place] in annotated and image["id"] not in left}
    draft.changes += [Change(BARE, "dropped", draft.list("image")[place]["id"], draft.origins["image"][place]) for place in sorted(places)]
    draft.settle("image", places)


def _thinned(draft: Draft, before: dict[str, Any]) -> int:
    came = [_plain(before["images"][origin]["id"]) for origin in draft.origins["image"]]
    lost = {change.place for change in draft.changes if change.dropped and change.rule.startswith("annotation.")}
    entries = [before["annotations"][place] for place in lost if place is not None]
    return len(set(came) & _annotated(entries))


def _require_some(draft: Draft, findings: Findings) -> None:
    for key in LISTS:
        if not draft.document[key]:
            most = ", ".join(f"{rule} ({count})" for rule, count in findings.counts.most_common(3))
            raise DatasetError(f"{findings.file}: nothing is left to keep, {key} would be empty; most faults: {most}. Correct the source.")
