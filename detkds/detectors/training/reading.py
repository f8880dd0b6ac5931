"""The losses of a step on their way from the device, so that reading them makes it wait for nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from detkds.detectors.training.parallel import Group
from detkds.errors import Rejected


class Reading:
    """The losses of one step, means over the group, and whether a process of it was asked to stop.

    Args:
        step: that was made, from 0.
        losses: scalars by name.
        stop: whether this process was asked to.
        group: whose mean is taken.
        learning_rate: of the step.
    """

    def __init__(self, step: int, losses: Mapping[str, Tensor], stop: bool, group: Group, learning_rate: float = 0.0) -> None:
        self.step, self.learning_rate, self._names = step, learning_rate, tuple(losses)
        values = [value.detach().double().flatten()[0] for value in losses.values()]
        self._values = group.mean(torch.stack([*values, values[0].new_tensor(float(stop))]))
        self._ready: torch.cuda.Event | None = None
        if self._values.is_cuda:
            pinned = torch.empty(self._values.shape, dtype=self._values.dtype, pin_memory=True)
            self._values = pinned.copy_(self._values, non_blocking=True)
            self._ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._ready.record()

    def read(self, steps: int) -> tuple[dict[str, float], bool]:
        """The losses, and whether any process was asked to stop; waits for this step alone.

        Args:
            steps: of the training in all, for the message.

        Raises:
            Rejected: a loss is not a number (nan, infinite).
        """
        if self._ready is not None:
            self._ready.synchronize()
        *values, stopped = self._values.tolist()
        losses = dict(zip(self._names, values, strict=True))
        for name, value in sorted(losses.items(), key=lambda item: item[0] == "loss"):  # the sum last: its parts are more informative
            if not math.isfinite(value):
                kind = "nan" if math.isnan(value) else "infinite"
                raise Rejected(kind, f"{name} is {value} at training step {self.step} of {steps}", self.step)
        return losses, stopped > 0
