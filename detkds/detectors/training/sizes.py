"""Batches of a size drawn every few steps, BatchSyncRandomResize, without the history of the draws."""

from __future__ import annotations

import random
from typing import Any

import torch
from mmdet.models.data_preprocessors import BatchSyncRandomResize
from mmengine.logging import MessageHub
from torch import Tensor

from detkds.detectors.training.randomness import Purpose, derived_seed

ITERATION = "iteration"
"""The name under which the message hub says which step it is, in steps of this training."""


class PlacedRandomResize(BatchSyncRandomResize):  # type: ignore[misc]
    """mmdet's BatchSyncRandomResize, whose size at a step depends on the step only.

    mmdet draws a size at the end of every `interval` steps and keeps it; here a step looks up the draw that came last before it, which
    was made with the random numbers of its own step. The first `interval` steps keep the size that the pipeline gives.
    """

    def __init__(self, stock: BatchSyncRandomResize, seed: int) -> None:
        low, high = (side * stock._size_divisor for side in stock._random_size_range)
        super().__init__((low, high), stock._interval, stock._size_divisor)
        self._seed = seed

    def forward(self, inputs: Tensor, data_samples: list[Any]) -> tuple[Tensor, list[Any]]:
        """The batch (N, 3, H, W) and its boxes in the size of this step."""
        step = int(MessageHub.get_current_instance().get_info(ITERATION))
        height, width = (int(side) for side in inputs.shape[-2:])
        self._input_size = self._size(step // self._interval, height, width)
        resized: tuple[Tensor, list[Any]] = super().forward(inputs, data_samples)
        return resized

    def _size(self, period: int, height: int, width: int) -> tuple[int, int]:
        if period == 0:
            return height, width
        drawing = derived_seed(self._seed, Purpose.STEP, period * self._interval - 1)
        side = random.Random(drawing).randint(*self._random_size_range)
        return self._size_divisor * side, self._size_divisor * int(width / height * side)

    def _get_random_size(self, aspect_ratio: float, device: torch.device) -> Any:
        """The next step looks its size up itself."""
        return self._input_size


def place_sizes(detector: Any, seed: int) -> None:
    """Let the batches of a detector have sizes by their place."""
    augments: Any = getattr(detector.data_preprocessor, "batch_augments", None) or ()
    for place, augment in enumerate(augments):
        if type(augment) is BatchSyncRandomResize:
            augments[place] = PlacedRandomResize(augment, seed)
