"""What the entries of images, categories and annotations have in common: keys and ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from detkds.data.faults import Findings, deeper_than, is_id, shown


def known_ids(entries: list[Any]) -> set[int]:
    """Every usable id, also of entries that are at fault otherwise, so that one fault does not make hundreds."""
    return {entry["id"] for entry in entries if isinstance(entry, dict) and is_id(entry.get("id"))}


def identified(kind: str, entries: list[Any], keys: Sequence[str], findings: Findings) -> Iterator[tuple[dict[str, Any], int]]:
    """The entries that have all `keys` and a usable id, with that id; the others are noted as faults and judged no further.

    Args:
        kind: image, category or annotation, the first word of the rules.
        entries: from outside, each of any type.
        keys: what COCO requires of the kind; all other values (but segmentation, which has its rules) are bounded in depth.
    """
    seen: set[int] = set()
    ruled = {*keys, "segmentation"} if kind == "annotation" else set(keys)
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            findings.add(f"{kind}.type", f"entry {place} is {shown(entry)}")
            continue
        id = entry.get("id")
        known = id if is_id(id) else None
        missing = [key for key in keys if key not in entry]
        if missing:
            findings.add(f"{kind}.missing-key", f"entry {place} has no {', '.join(missing)}", known)
        elif known is None:
            findings.add(f"{kind}.id", f"entry {place} has the id {shown(id)}")
        else:
            if known in seen:
                findings.add(f"{kind}.id-duplicate", f"entry {place} has the id of an earlier one", known)
            seen.add(known)
            yield entry, known
        for key in sorted(entry.keys() - ruled):
            if deeper_than(entry[key]):
                findings.add("file.too-deep", f"{kind} entry {place}, key {shown(key)}")
