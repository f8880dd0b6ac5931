"""What `detkds data check --json` answers of one annotation file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from detkds.data.checking.overview import overview
from detkds.data.coco import Inspection
from detkds.data.repair import Change, Repaired

MAX_FAULTS = 1000  # of one file; the file of all faults has the rest


def as_json(found: Inspection, repaired: Repaired | None, target: Path | None, refusal: str) -> dict[str, Any]:
    """Plain values.

    Args:
        found: what was found in the file.
        repaired: what `--fix` did, or would do; None where nothing needs it, or it cannot.
        target: where the copy was written, if it was.
        refusal: why there is no repaired copy; empty where there is one or none is needed.
    """
    findings = found.findings
    return {
        "file": findings.file,
        "images": str(found.images) if found.images else None,
        "sound": found.document is not None and findings.sound,
        "counts": dict(findings.counts),
        "faults": [fault.to_json() for fault in findings.faults[:MAX_FAULTS]],
        "overview": asdict(overview(found.document)) if found.document is not None and findings.sound else None,
        "repair": _repair(found, repaired, target) if repaired else None,
        "no_repair": refusal or None,
    }


def _repair(found: Inspection, repaired: Repaired, target: Path | None) -> dict[str, Any]:
    kinds = ("images", "annotations", "categories")
    return {
        "written": str(target) if target else None,
        "kept": {kind: len(repaired.document[kind]) for kind in kinds},
        "of": {kind: len((found.document or {})[kind]) for kind in kinds},
        "changed": _counted(change for change in repaired.changes if not change.dropped),
        "dropped": _counted(change for change in repaired.changes if change.dropped),
        "images_with_some_objects_dropped": repaired.thinned,
    }


def _counted(changes: Iterable[Change]) -> list[dict[str, Any]]:
    counts = Counter((change.rule, change.done) for change in changes)
    return [{"rule": rule, "done": done, "count": count} for (rule, done), count in counts.items()]
