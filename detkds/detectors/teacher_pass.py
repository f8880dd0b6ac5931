"""The outputs of a teacher for the batches of a training, computed once for all students that see the same batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


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


KEPT_BYTES = 2**29
"""What the TeacherPass of a search keeps of each teacher at most: some 300 steps of 4 images of 320x240 pixels, necks of 64 channels."""


class TeacherPass:
    """The outputs of the teacher for each step, for all students that are given the same batches. Copies of a distiller share it.

    Students that are trained later see the same batches again, so steps are kept, the first ones until `limit` bytes are full. The next
    student asks for them in the same order: if the oldest made room, a memory too small for all steps would never hold the one it asks for.
    """

    def __init__(self, limit: int = 0) -> None:
        self._limit, self._size = limit, 0
        self._kept: dict[tuple[str, int], _Step] = {}
        self._last: dict[str, tuple[int, _Step]] = {}
        self._others: dict[int, TeacherPass] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> TeacherPass:
        return self

    def of(self, number: int) -> TeacherPass:
        """That of another teacher of the same students."""
        return self._others.setdefault(number, TeacherPass(self._limit))

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
        mark = (*inputs.shape, inputs.dtype, total, torch.is_autocast_enabled(inputs.device.type))
        place, seen = self._last.get(what, (-1, None))
        if place != step:
            self._keep(what)
            seen = self._kept.get((what, step))
        if seen is None or seen.mark != mark:
            seen = _Step(mark, look())
        self._last[what] = (step, seen)
        return seen.found

    def _keep(self, what: str) -> None:
        """Keep the step that students leave now, if there is room: the head may have answered since it was last weighed."""
        if not self._limit or what not in self._last:
            return
        step, seen = self._last[what]
        if before := self._kept.pop((what, step), None):
            self._size -= before.size
        seen.size = _bytes(seen.found)
        if self._size + seen.size <= self._limit:
            self._kept[what, step] = seen
            self._size += seen.size


@dataclass
class _Step:
    """The outputs of the teacher for a batch, what the batch is recognised by, and the bytes of the answer."""

    mark: tuple[Any, ...]
    found: Any
    size: int = 0


def _bytes(found: Any) -> int:
    """Of all tensors and arrays that an answer keeps in memory, whatever holds them; what several share counts once."""
    return sum(dict(_blocks(found, set())).values())


def _blocks(value: Any, seen: set[int]) -> Iterator[tuple[int, int]]:
    """Where each block of memory is, and its bytes; a tensor keeps the whole block of which it is a view."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        yield value.untyped_storage().data_ptr(), value.untyped_storage().nbytes()
    elif isinstance(value, np.ndarray):
        whole = value if value.base is None else value.base
        yield id(whole), getattr(whole, "nbytes", value.nbytes)
    elif not isinstance(value, type | nn.Module | FunctionType):  # a head may give what refers to its detector, which is there anyhow
        parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list | set) else ()
        for part in (*parts, *getattr(value, "__dict__", {}).values()):
            yield from _blocks(part, seen)
