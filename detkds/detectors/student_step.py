"""A student's step as distillation needs it: what it leaves behind is kept, and where asked its batch statistics do not move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from detkds.detectors.heads import crossing
from detkds.detectors.taps import Tapped, tap


@contextmanager
def tapped(student: Any, *, towers: bool) -> Iterator[Tapped]:
    """What the step that runs inside leaves behind, with `towers` the features of the student's head too."""
    with tap(student) as found:
        if not towers:
            yield found
            return
        with crossing.towers(student.bbox_head) as found.towers:
            yield found


def without_trace(module: nn.Module) -> Callable[..., Any]:
    """The module on copies of its buffers: batch norm normalises by the batch, and its running statistics do not move."""
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}

    def call(*args: Any, **kwargs: Any) -> Any:
        return torch.func.functional_call(module, buffers, args, kwargs)

    return call


class Features(nn.Module):
    """A detector whose forward pass ends at its neck."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, inputs: Tensor) -> Any:
        """The neck's levels of images (N, 3, H, W)."""
        return self.detector.extract_feat(inputs)
