"""What a teacher says of the batches of a training, computed once for all students that see the same batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


class TeacherLevels(tuple[Tensor, ...]):
    """A teacher's neck levels of one batch, fine to coarse, each (N, C, H, W), and what its head says of them alone."""

    _answer: Any = None

    def answered(self, head: Callable[[], Any]) -> Any:
        """What the head says, asked once; `head` reads nothing but these levels and the images' sizes."""
        if self._answer is None:
            self._answer = head()
        return self._answer


def answered(levels: Sequence[Tensor], head: Callable[[], Any]) -> Any:
    """What a teacher's head says of levels, from those who asked before where the levels are shared."""
    return levels.answered(head) if isinstance(levels, TeacherLevels) else head()


class TeacherPass:
    """The teacher's levels of the step in which some students are, for all of them. Copies of a distiller share it."""

    def __init__(self) -> None:
        self._mark: tuple[Any, ...] = ()
        self._levels = TeacherLevels()

    def __deepcopy__(self, memo: dict[int, Any]) -> TeacherPass:
        return self

    def levels(self, step: int, inputs: Tensor, look: Callable[[], Iterable[Tensor]]) -> TeacherLevels:
        """The levels of a batch.

        Args:
            step: of the training.
            inputs: (N, 3, H, W) of the batch; other inputs are another batch.
            look: runs the teacher.
        """
        mark = (step, *inputs.shape, inputs.dtype, float(inputs.sum(dtype=torch.float64)), torch.is_autocast_enabled(inputs.device.type))
        if mark != self._mark:
            self._levels, self._mark = TeacherLevels(look()), mark
        return self._levels
