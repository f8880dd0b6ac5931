"""What is drawn of whom: a title and a look for every detector or run. The looks are classes of the style sheet: colour, line and fill."""

from __future__ import annotations

from collections.abc import Iterable

from detkds.evaluation.result import Role

TITLES = {Role.TEACHER: "teacher", Role.STUDENT: "student", Role.DISTILLED: "distilled student"}
"""The roles as column titles, short enough for a phone."""
LONG_TITLES = {**TITLES, Role.STUDENT: "student without distillation"}
OTHERS = 8
"""Looks for detectors without a role, and for runs: `run1` to `run8`, then again from the start."""


def title(name: str) -> str:
    """A detector's name as a column title."""
    return TITLES[Role(name)] if name in set(Role) else name


def long_title(name: str) -> str:
    """A detector's name in a sentence or on a card."""
    return LONG_TITLES[Role(name)] if name in set(Role) else name


def looks(names: Iterable[str]) -> dict[str, str]:
    """Name to look; roles have their own."""
    found: dict[str, str] = {}
    others = 0
    for name in names:
        if name not in set(Role):
            others += 1
        found[name] = name if name in set(Role) else run_look(others - 1)
    return found


def run_look(place: int) -> str:
    """The look of the detector or run at a place, from 0."""
    return f"run{place % OTHERS + 1}"
