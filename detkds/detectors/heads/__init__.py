"""The common view of scores and boxes that every head is read through (SEMANTICS, "Responses").

A family is a file with one class: what it can read of a detector, what the student's head said, what the teacher's head says of it. The
decorator of `register` adds a family, or a dense head, from outside of this package. docs/detectors.md says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from detkds.detectors.heads.dense import Dense, Grids
from detkds.detectors.heads.predictions import Family, Matched
from detkds.detectors.heads.register import FAMILIES
from detkds.detectors.heads.roi import Proposals, RoI, is_cascade
from detkds.detectors.taps import Tapped
from detkds.losses.views import Response


class Reader(Protocol):
    """Reads the heads of one student and one teacher as two responses of equal shape."""

    def __call__(self, tapped: Tapped, levels: Sequence[Tensor], samples: Any) -> tuple[Response, Response]:
        """The student's and the teacher's response of one step; the teacher's without gradient.

        Args:
            tapped: what the student's step left behind.
            levels: the teacher's neck levels of the same images.
            samples: mmdet's samples of the batch.
        """


def family(detector: nn.Module) -> type[Family] | None:
    """The family that a detector's head belongs to, or None."""
    return next((kind for kind in FAMILIES.values() if kind.reads(detector)), None)


def mismatch(student: nn.Module, teacher: nn.Module) -> str | None:
    """Why scores and boxes of two detectors of the same classes cannot be compared, or None."""
    for side, detector in {"student": student, "teacher": teacher}.items():
        if family(detector) is None:
            return f"scores and boxes of {type(detector).__name__}, the {side}, are not read; docs/detectors.md says how to add a head"
    if family(student) is RoI and is_cascade(student):
        return "a cascade student trains each stage on other proposals"
    return Grids.mismatch(student, teacher) if family(student) is family(teacher) is Dense else None


def reader(student: nn.Module, teacher: nn.Module) -> Reader:
    """How two detectors without a mismatch are compared: cell by cell, proposal by proposal, or prediction by prediction."""
    ours, theirs = family(student), family(teacher)
    assert ours is not None
    assert theirs is not None
    if ours is theirs is Dense:
        return Grids(student, teacher)
    if ours is theirs is RoI:
        return Proposals(student, teacher)
    return Matched(ours(student), theirs(teacher))
