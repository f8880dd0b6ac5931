"""A repaired copy of a data set: what is at fault is mended where nothing has to be made up for it, and left out where not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detkds.data.checking.entries import unfit_keys
from detkds.data.checking.faults import Fault, Findings
from detkds.data.checking.parsing import without_collection
from detkds.data.checking.pictures import Look
from detkds.data.checking.values import is_id
from detkds.data.coco import LISTS, Inspection, judge, summary
from detkds.data.repair.draft import LIST_OF, Change, Draft
from detkds.data.repair.remedies import REMEDIES
from detkds.errors import DatasetError

# Said of the text of the file; what was parsed is free of them.
_BY_WRITING = {"file.duplicate-key": "last value kept", "file.not-utf8": "written as UTF-8 without a mark"}
BARE = "image.bare"


@dataclass(frozen=True)
class Repaired:
    """A sound data set and what was done to get it.

    Args:
        document: a COCO dict in which `check` finds nothing that stops a run. Entries that needed nothing are the original's.
        changes: one for each thing done.
    """

    document: dict[str, Any]
    changes: Sequence[Change]

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How often each thing was done, by (rule, done)."""
        return Counter((change.rule, change.done) for change in self.changes)


def repair(inspection: Inspection, *, look: Look = "headers") -> Repaired:
    """Mend or leave out what is at fault, until nothing is.

    Boxes and polygons are cut off at their image; masks that cannot be read go and the box stays; ids that stand twice are given anew to
    annotations. Images and categories that cannot be used go with their annotations. An image of which all annotations went goes too:
    kept, it would teach that nothing is on it.

    Args:
        inspection: as `inspect` gives it.
        look: that of the inspection.

    Raises:
        DatasetError: the file is no COCO data set that could be read, the image folder is missing, or nothing is left to keep.
    """
    findings = inspection.findings
    if inspection.document is None or "folder.missing" in findings.counts:
        raise DatasetError(f"there is nothing to repair: {summary(findings)}")
    with without_collection():
        draft = Draft(inspection.document)
        draft.changes += [Change(fault.rule, _BY_WRITING[fault.rule]) for fault in findings.faults if fault.rule in _BY_WRITING]
        annotated = _annotated(draft)
        tried: set[tuple[str, int, str]] = set()
        while round_ := _serious(findings):
            looked = _mend(draft, round_, tried)
            findings = Findings(findings.file)
            judge(draft.document, findings, inspection.images if looked else None, look)
        _drop_bare(draft, annotated)
    _require_some(draft, inspection.findings)
    return Repaired(draft.document, tuple(draft.changes))


def _serious(findings: Findings) -> list[Fault]:
    """What is to be mended next: images and categories first, as faults of annotations may go with theirs."""
    faults = [fault for fault in findings.faults if not fault.tolerated and fault.rule != "file.empty" and fault.rule not in _BY_WRITING]
    return [fault for fault in faults if fault.kind != "annotation"] or faults


def _mend(draft: Draft, faults: list[Fault], tried: set[tuple[str, int, str]]) -> bool:
    """Apply the remedies of one round; tells whether images were at fault, so that their files are to be looked at again.

    A remedy is tried once: an entry that breaks the same rule again is left out, so that rounds come to an end.
    """
    dropped: dict[str, set[int]] = {kind: set() for kind in LIST_OF}
    for fault in faults:
        if fault.rule == "file.other-value":
            _drop_unfit(draft)
        elif fault.place is not None and fault.place not in dropped[fault.kind]:
            origin = draft.origins[fault.kind][fault.place]
            again = (fault.kind, origin, fault.rule) in tried
            tried.add((fault.kind, origin, fault.rule))
            remedy = None if again else REMEDIES.get(fault.rule)
            done = remedy(draft, draft.editable(fault.kind, fault.place)) if remedy else None
            if done is None or done.startswith("dropped"):
                dropped[fault.kind].add(fault.place)
            draft.changes.append(Change(fault.rule, done or "dropped", fault.id, origin))
    for kind, places in dropped.items():
        draft.settle(kind, places)
    return any(fault.kind == "image" for fault in faults)


def _drop_unfit(draft: Draft) -> None:
    for key in unfit_keys(draft.document, frozenset(LISTS)):
        del draft.document[key]
        draft.changes.append(Change("file.other-value", "value dropped, the rest kept"))


def _annotated(draft: Draft) -> set[int]:
    named: list[Any] = [entry.get("image_id") for entry in draft.list("annotation") if isinstance(entry, dict)]
    return {int(id) for id in named if is_id(id) or (type(id) is float and id.is_integer())}


def _drop_bare(draft: Draft, annotated: set[int]) -> None:
    bare = annotated - _annotated(draft)
    places = {place for place, image in enumerate(draft.list("image")) if image["id"] in bare}
    draft.changes += [Change(BARE, "dropped", draft.list("image")[place]["id"], draft.origins["image"][place]) for place in sorted(places)]
    draft.settle("image", places)


def _require_some(draft: Draft, findings: Findings) -> None:
    for key in LISTS:
        if not draft.document[key]:
            most = ", ".join(f"{rule} ({count})" for rule, count in findings.counts.most_common(3))
            raise DatasetError(f"{findings.file}: nothing is left to keep, {key} would be empty; most faults: {most}. Correct the source.")
