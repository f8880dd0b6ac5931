"""The stages of a run in the order in which this machine works through them, by the titles of their progress lines."""

from __future__ import annotations

from collections.abc import Sequence

from detkds.genome import Knowledge
from detkds.pipeline.task import KNOWN, RACE, WEIGHTS

CHECK, SUBSET, EVALUATE, REPORT = "check", "subset", "evaluate", "report"
TEACHER, BASELINE, DISTILLED = "teacher", "train baseline", "train distilled"


def stages(searched: Sequence[str], *, recipe: bool = False, teacher: bool = False) -> tuple[str, ...]:
    """Titles of the stages of a run.

    Args:
        searched: the knowledges that it searches.
        recipe: it trains with a known recipe and searches nothing.
        teacher: it trains its teacher first.
    """
    evolutions = [f"evolve {knowledge}" for knowledge in Knowledge if knowledge in searched]
    search = [] if recipe else [*evolutions, WEIGHTS]
    return (*([TEACHER] if teacher else []), CHECK, SUBSET, *search, BASELINE, DISTILLED, EVALUATE, REPORT)


def numbered(stage: str, titles: Sequence[str], begun: Sequence[str]) -> int:
    """Which of the stages one is, from 1; those of one kind, evolutions and the two trainings, count in the order in which they began."""
    kinds = [_kind(title) for title in titles]
    earlier = kinds.index(_kind(stage))
    alike = [title for title in begun if _kind(title) == _kind(stage)]
    return earlier + (alike.index(stage) if stage in alike else len(alike)) + 1


def _kind(title: str) -> str:
    return title.partition(" ")[0]


def stage_of(title: str) -> str:
    """The stage that a progress line belongs to: the final race is the end of the search over weights."""
    return WEIGHTS if title == KNOWN or title.partition(" ")[0] == RACE else title
