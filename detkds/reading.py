"""JSON values of an expected type, or ValueError: what a report shows may come from a file that anybody wrote.

JSON has no nan: it is null.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

LARGEST = 10**18
"""No number of a report is larger, and larger ones would overflow what is computed from them."""


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError(f"a text is expected, got {_short(value)}")
    return value


def number(value: Any, *, finite: bool = False) -> float:
    """A number as float; null is nan unless it must be finite."""
    if value is None and not finite:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or LARGEST < abs(value) < math.inf:
        raise ValueError(f"a number is expected, got {_short(value)}")
    if finite and not math.isfinite(value):
        raise ValueError(f"a finite number is expected, got {_short(value)}")
    return float(value)


def integer(value: Any) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
        raise ValueError(f"a whole number is expected, got {_short(value)}")
    return value


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"true or false is expected, got {_short(value)}")
    return value


def member(value: Any, known: Sequence[str]) -> str:
    """One of the known words."""
    if value not in known:
        raise ValueError(f"one of {', '.join(known)} is expected, got {_short(value)}")
    return str(value)


def mapping(value: Any) -> Mapping[Any, Any]:
    """A JSON object."""
    if not isinstance(value, Mapping):
        raise ValueError(f"an object is expected, got {_short(value)}")
    return value


def sequence(value: Any) -> Sequence[Any]:
    """A JSON array."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"an array is expected, got {_short(value)}")
    return value


def numbers(value: Any) -> dict[str, float]:
    """Name to number."""
    return {text(name): number(entry) for name, entry in mapping(value).items()}


def as_json(value: Any) -> Any:
    """Dataclasses as objects by their fields (or by their own `to_json`), numbers that are not finite as null, bytes left out."""
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: _as_json(entry) for name, entry in fields.items() if not isinstance(entry, bytes) and name != "picture"}
    return _as_json(value)


def _as_json(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return as_json(value.to_json())
    if dataclasses.is_dataclass(value):
        return as_json(value)
    if isinstance(value, Mapping):
        return {str(name): _as_json(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(entry) for entry in value]
    return or_null(value) if isinstance(value, float) else value


def or_null(value: float) -> float | None:
    """The number, or None where it is not finite."""
    return value if math.isfinite(value) else None


def _short(value: Any) -> str:
    return repr(value)[:60]
