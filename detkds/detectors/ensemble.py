"""Several teachers of one student: each has a share of the distillation losses of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from detkds.detectors.backbone_teacher import detects
from detkds.errors import ConfigError

MEAN, AGREEMENT = COMBINED = ("mean", "agreement")
"""How the losses of several teachers become one: by their weights, or by the images on which each agrees best with the labels, or where
there are none with the other teachers."""


class Ensemble(nn.Module):
    """Teachers that teach together. The first is the one that a student inherits from and that is evaluated.

    Args:
        teachers: two or more.
        weights: of each in the mean, above 0; they need not sum to 1. None: all alike.
        combine: `mean` or `agreement`.

    Raises:
        ConfigError: a value is out of range, or `agreement` is to be measured of a backbone, which detects nothing.
    """

    def __init__(self, teachers: Sequence[nn.Module], weights: Sequence[float] | None = None, combine: str = MEAN) -> None:
        super().__init__()
        given = tuple(weights or [1.0] * len(teachers))
        if len(teachers) < 2 or len(given) != len(teachers) or min(given) <= 0:
            raise ConfigError(f"several teachers need a weight above 0 each, got {len(teachers)} teachers and the weights {given}.")
        if combine not in COMBINED:
            raise ConfigError(f"teacher.combine must be one of {', '.join(COMBINED)}, got {combine!r}.")
        if combine == AGREEMENT and not all(map(detects, teachers)):
            raise ConfigError("teacher.combine: agreement compares detections with labels, and a backbone detects nothing; write mean.")
        self.teachers = nn.ModuleList(teachers)
        self.weights = tuple(weight / sum(given) for weight in given)
        self.combine = combine

    @property
    def data_preprocessor(self) -> Any:
        """Of the first."""
        return self.teachers[0].data_preprocessor


def members(teacher: nn.Module) -> tuple[nn.Module, ...]:
    """The teachers of an ensemble, or the one."""
    return tuple(teacher.teachers) if isinstance(teacher, Ensemble) else (teacher,)
