"""What the entries of images, categories and annotations have in common: keys, ids, and values that COCO does not define."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detkds.data.checking.faults import Findings
from detkds.data.checking.values import is_id, shown, why_unfit

# What COCO requires of each kind; area and iscrowd too, because pycocotools and mmdet read them without asking.
KEYS = {
    "image": ("id", "file_name", "width", "height"),
    "category": ("id", "name"),
    "annotation": ("id", "image_id", "category_id", "bbox", "area", "iscrowd"),
}
# Keys with rules of their own; the values of all others are only bounded.
RULED = {kind: frozenset(keys) | ({"segmentation"} if kind == "annotation" else set()) for kind, keys in KEYS.items()}


def known_ids(entries: list[Any]) -> set[int]:
    """Every usable id, also of entries that are at fault otherwise, so that one fault does not make hundreds."""
    return {entry["id"] for entry in entries if isinstance(entry, dict) and is_id(entry.get("id"))}


def usable_id(kind: str, place: int, entry: Any, findings: Findings) -> int | None:
    """The id of an entry that has all keys and a usable id; None after noting why it cannot be judged further.

    Args:
        kind: image, category or annotation, the first word of the rules.
        place: the entry's index in its list.
        entry: from outside, of any type.
    """
    if not isinstance(entry, dict):
        findings.add(f"{kind}.type", f"entry {place} is {shown(entry)}", place=place)
        return None
    id = entry.get("id")
    known = id if is_id(id) else None
    for key in unfit_keys(entry, RULED[kind]):
        findings.add(f"{kind}.other-value", f"key {shown(key)}: {why_unfit({key: entry[key]})}", known, place)
    missing = [key for key in KEYS[kind] if key not in entry]
    if missing:
        findings.add(f"{kind}.missing-key", f"entry {place} has no {', '.join(missing)}", known, place)
        return None
    if known is None:
        findings.add(f"{kind}.id", f"entry {place} has the id {shown(id)}", place=place)
    return known


def unfit_keys(entry: dict[str, Any], ruled: frozenset[str]) -> list[str]:
    """The keys beyond `ruled` that cannot be kept, or whose values cannot."""
    return [key for key in entry if key not in ruled and (why_unfit(entry[key]) or why_unfit(key))]


def identified(kind: str, entries: list[Any], findings: Findings) -> Iterator[tuple[int, dict[str, Any], int]]:
    """Place, entry and id of those that can be judged further; ids that occur twice are noted."""
    seen: set[int] = set()
    for place, entry in enumerate(entries):
        id = usable_id(kind, place, entry, findings)
        if id is None:
            continue
        if id in seen:
            findings.add(f"{kind}.id-duplicate", f"entry {place} has the id of an earlier one", id, place)
        seen.add(id)
        yield place, entry, id
