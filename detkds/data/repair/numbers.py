"""Numbers that were written as text, or as 7.0 where a whole one belongs."""

from __future__ import annotations

import re
from typing import Any

from detkds.data.checking.rules import MAX_ID
from detkds.data.checking.values import is_number

_PLAIN = re.compile(r"\s*[+-]?(\d{1,30})(\.\d{0,30})?(?:[eE][+-]?\d{1,3})?\s*", re.ASCII)
_WHOLE = re.compile(r"\s*\+?(\d{1,30})(?:\.0{0,30})?\s*", re.ASCII)


def number(value: Any) -> float | int | None:
    """A finite number, also from its text; None for anything else."""
    if isinstance(value, str) and (found := _PLAIN.fullmatch(value)):
        value = int(value) if found[2] is None and "e" not in value.lower() else float(value)
    return value if is_number(value) else None


def whole(value: Any) -> int | None:
    """A whole number that can be an id, from 7, 7.0, "7" and "7.0"; None for anything else."""
    if isinstance(value, str):
        found = _WHOLE.fullmatch(value)
        value = int(found[1]) if found else None
    known = type(value) is int or (type(value) is float and value.is_integer())
    return int(value) if known and 0 <= value <= MAX_ID else None
