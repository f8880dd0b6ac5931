"""Ids that annotations count from another first number than images or categories do, so that each object would be its neighbour's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from detkds.data.checking.faults import Findings
from detkds.data.checking.values import is_id


def check_shifts(entries: list[Any], images: Collection[int], categories: Collection[int], findings: Findings) -> None:
    """Note, once for the whole set, that `image_id` or `category_id` is one too low or one too high throughout.

    Entry by entry only the ids at the end of the range look wrong; the others name an image or a category, but the wrong one.

    Args:
        entries: the annotations.
        images, categories: the known ids.
    """
    for key, known, owners in (("image_id", images, "images"), ("category_id", categories, "categories")):
        used = {entry[key] for entry in entries if isinstance(entry, dict) and is_id(entry.get(key))}
        if len(known) > 1 and not used <= set(known) and any({id + step for id in used} <= set(known) for step in (1, -1)):
            counted = f"annotations use {key} {min(used)} to {max(used)}, {owners} have {min(known)} to {max(known)}"
            findings.add("annotation.ids-shifted", f"{counted}: as they stand, objects would belong to the neighbouring one")
