"""What a teacher says of the batches of a training, computed once for all students that see the same batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


class TeacherLevels(tuple[Tensor, ...]):
    """A teacher's neck levels of one batch, fine to coarse, each (N, C, H, W), and what its head says of them alone."""

    agreement: Tensor | None = None
    """With the labels of each image (N,), where several teachers are chosen from, see `ensemble`."""
    found: Sequence[Any] | None = None
    """Its detections on each image of a batch without labels, if they were asked for, see `detected.looked_at`."""
    _answer: Any = None

    def answered(self, head: Callable[[], Any]) -> Any:
        """What the head says, asked once; `head` reads nothing but these levels and the images' sizes."""
        if self._answer is None:
            self._answer = head()
        return self._answer


def answered(levels: Sequence[Tensor], head: Callable[[], Any]) -> Any:
    """What a teacher's head says of levels, from those who asked before where the levels are shared."""
    return levels.answered(head) if isinstance(levels, TeacherLevels) else head()


def _as_levels(found: Iterable[Tensor]) -> TeacherLevels:
    return found if isinstance(found, TeacherLevels) else TeacherLevels(found)


class TeacherPass:
    """What the teacher says of the step in which some students are, for all of them. Copies of a distiller share it."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[tuple[Any, ...], Any]] = {}
        self._others: dict[int, TeacherPass] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> TeacherPass:
        return self

    def of(self, number: int) -> TeacherPass:
        """That of another teacher of the same students."""
        return self._others.setdefault(number, TeacherPass())

    def levels(self, step: int | None, inputs: Tensor, look: Callable[[], Iterable[Tensor]]) -> TeacherLevels:
        """The levels of a batch.

        Args:
            step: of the training; None for a batch on which losses are only tried.
            inputs: (N, 3, H, W) of the batch; other inputs are another batch.
            look: runs the teacher.
        """
        levels: TeacherLevels = self._once("tried" if step is None else "labelled", step or 0, inputs, lambda: _as_levels(look()))
        return levels

    def unlabelled(
        self, step: int, inputs: Tensor, boxes: bool, look: Callable[[], tuple[TeacherLevels, list[Any]]]
    ) -> tuple[TeacherLevels, list[Any]]:
        """The levels of a batch without labels, and its samples with the teacher's detections, if `boxes`; a student may write into
        them."""
        levels, samples = self._once(f"unlabelled, boxes: {boxes}", step, inputs, look)
        return levels, copy.deepcopy(samples)

    def _once(self, what: str, step: int, inputs: Tensor, look: Callable[[], Any]) -> Any:
        total = 0.0 if inputs.is_cuda else float(inputs.sum(dtype=torch.float64))  # reading it would make a GPU wait in every step
        mark = (step, *inputs.shape, inputs.dtype, total, torch.is_autocast_enabled(inputs.device.type))
        known, found = self._seen.get(what, ((), None))
        if known != mark:
            found = look()
            self._seen[what] = (mark, found)
        return found
