"""Single values from outside: what may be an id or a number, what may stand where COCO defines nothing, and how they are shown."""

from __future__ import annotations

import reprlib
from typing import Any

from detkds.data.checking.rules import MAX_DEPTH, MAX_ID, MAX_NUMBER, MAX_OTHER_NUMBER

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxdict, _BRIEF.maxlist, _BRIEF.maxstring = 2, 3, 4, 60


def shown(value: Any) -> str:
    """A value from outside for a message: on one line, at most about 100 characters, without control characters."""
    text = _BRIEF.repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def is_id(value: Any) -> bool:
    """Whether `value` can be an id: a whole number from 0 to 2^53; true and false are none."""
    return type(value) is int and 0 <= value <= MAX_ID


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number of at most 1e12 in magnitude; true, false and NaN are none."""
    return (type(value) is float or type(value) is int) and -MAX_NUMBER <= value <= MAX_NUMBER


def why_unfit(value: Any) -> str | None:
    """Why a value that COCO does not define cannot be kept: nested too deep, a number beyond 2^63, half a Unicode character.

    Every JSON reader and writer takes a value without such a reason, and gives it back unchanged.
    """
    if type(value) is str and value.isascii():
        return None  # nearly all of them
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        if reason := next(filter(None, map(_why_unfit, level)), None):
            return reason
        level = [inner for outer in level if isinstance(outer, (list, dict)) for inner in _inside(outer)]
        if not level:
            return None
    return f"nested more than {MAX_DEPTH} deep"


def _why_unfit(value: Any) -> str | None:
    if isinstance(value, str):
        return None if value.isascii() or is_whole_text(value) else f"{shown(value)} is not Unicode text"
    if isinstance(value, (int, float)):
        return None if -MAX_OTHER_NUMBER < value < MAX_OTHER_NUMBER else f"{shown(value)} is not a number below 2^63 in size"
    if isinstance(value, dict):
        return next((f"key {shown(key)} is not Unicode text" for key in value if not is_whole_text(key)), None)
    return None


def is_whole_text(text: str) -> bool:
    """Whether a text has no halves of surrogate pairs, so that it can be written in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _inside(value: list[Any] | dict[str, Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value
