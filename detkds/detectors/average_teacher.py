"""A teacher that is the moving average of the student it teaches, as in Mean Teacher (Tarvainen and Valpola, NeurIPS 2017)."""

from __future__ import annotations

from typing import Any

from mmengine.model import MomentumAnnealingEMA
from torch import Tensor, nn

from detkds.errors import ConfigError

AT_LEAST = 0.5
"""The smallest momentum: with less, the average is nearly the student itself."""


class MovingAverage:
    """The average of a student in training. Not a module, so that nothing of it is trained, saved or wrapped along with the student.

    Buffers, such as the statistics of batch norms, are the student's own: they are averages already.

    Args:
        student: with its first weights, which are the average's.
        momentum: share of the average that a step keeps. Step t keeps 1 - 1/t where that is less: the first steps have equal parts in the
            average, so that it does not remember the first weights, and the share grows up to the momentum.
    """

    def __init__(self, student: nn.Module, momentum: float) -> None:
        self.momentum = momentum
        self._model = MomentumAnnealingEMA(student, 1 - momentum, gamma=1)
        self._model.eval()

    @property
    def detector(self) -> Any:
        """The average as a detector, in evaluation mode."""
        return self._model.module

    def follow(self, student: nn.Module) -> None:
        """Take in the weights of the student after a step."""
        self._model.update_parameters(student)

    def state(self) -> dict[str, Tensor]:
        """Weights, buffers and the number of steps; they share memory with the average."""
        weights: dict[str, Tensor] = self._model.state_dict()
        return weights

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state` gave."""
        self._model.load_state_dict(state)


class AverageTeacher(nn.Module):
    """Stands where a teacher would be, and asks for the moving average of the student in its place: each student has one of its own.

    Args:
        detector: of the student's config. Its weights are not used: only what it can share with the student is read of it.
        momentum: of the averages, see MovingAverage; at least 0.5 and below 1.

    Raises:
        ConfigError: the momentum is out of range.
    """

    def __init__(self, detector: nn.Module, momentum: float) -> None:
        super().__init__()
        if not AT_LEAST <= momentum < 1:
            raise ConfigError(f"teacher.momentum must be at least {AT_LEAST} and below 1, got {momentum}.")
        self.detector: Any = detector
        self.momentum = momentum

    @property
    def data_preprocessor(self) -> Any:
        """The student's."""
        return self.detector.data_preprocessor

    def of(self, student: nn.Module) -> MovingAverage:
        """The average that teaches a student."""
        return MovingAverage(student, self.momentum)


def as_detector(teacher: nn.Module) -> nn.Module:
    """The teacher, or the detector that an average has the form of."""
    return teacher.detector if isinstance(teacher, AverageTeacher) else teacher
