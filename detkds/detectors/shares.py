"""What the losses with each of several teachers count in a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from detkds.detectors.agreement import agreeing, confirmed
from detkds.detectors.ensemble import AGREEMENT, MEAN, Ensemble
from detkds.detectors.teacher_pass import TeacherLevels

Mean = Callable[[Tensor], Tensor]
"""The mean of a tensor over the processes that share a batch."""


class Shares:
    """The shares of a student's teachers, which sum to 1: their weights, or with `agreement` as they agree on the images of the step.

    Args:
        weights: of each teacher, which sum to 1.
        combine: `mean` or `agreement`, see `ensemble`.
    """

    def __init__(self, weights: Sequence[float] = (1.0,), combine: str = MEAN) -> None:
        self._weights = tuple(weights)
        self.by_agreement = combine == AGREEMENT
        """Whether on labelled images they go by how each teacher agrees with the labels."""
        self.by_detections = self.by_agreement and len(self._weights) > 2  # two confirm each other equally
        """Whether on images without labels they go by how the teachers confirm each other."""

    @classmethod
    def of(cls, teacher: nn.Module | None) -> Shares:
        """Of an Ensemble; one teacher has all."""
        return cls(teacher.weights, teacher.combine) if isinstance(teacher, Ensemble) else cls()

    def labelled(self, levels: Sequence[TeacherLevels], mean: Mean) -> Sequence[Any]:
        """Of each teacher on a batch with labels; its levels have its agreement with them where that decides."""
        return mean(agreeing(levels)).unbind() if self.by_agreement else self._weights

    def unlabelled(self, levels: Sequence[TeacherLevels], mean: Mean) -> Sequence[Any]:
        """Of each teacher on a batch without labels; its levels have its detections where these decide."""
        if not self.by_detections:
            return self._weights
        return mean(confirmed([one.found for one in levels if one.found is not None])).unbind()
