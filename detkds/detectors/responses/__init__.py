"""The common view of scores and boxes that every head family is read through (SEMANTICS, "Responses").

A family is a file: what it can read of a detector, how the teacher's head is run, and how both outputs become one Response. A new family
joins FAMILIES.
"""

from __future__ import annotations

from torch import nn

from detkds.detectors.responses.dense import Dense
from detkds.detectors.responses.roi import RoI

FAMILIES = (Dense, RoI)


def family(student: nn.Module, teacher: nn.Module) -> type[Dense] | type[RoI] | None:
    """The family that both detectors' heads belong to, or None."""
    return next((kind for kind in FAMILIES if kind.reads(student) and kind.reads(teacher)), None)
