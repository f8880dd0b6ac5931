"""The time that mmdet's heads read from mmengine's message hub. A runner's RuntimeInfoHook would write it; training here has no runner.

TOOD assigns by another rule from an epoch on, BoxInst warms a loss up by the iteration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mmengine.config import Config
from mmengine.logging import MessageHub

from detkds.detectors.training.moments import length


def runtime(config: Config, step: int, steps: int) -> dict[str, int]:
    """epoch, iter, max_epochs and max_iters before training step `step` of `steps`, both in units of the config's own schedule.

    A schedule counted in epochs is stretched: epoch 4 of the config's 12 begins at a third of the training, however many passes over the
    images these steps are; iterations are our steps. One counted in iterations is stretched too, and is one epoch as in mmengine.

    Raises:
        ConfigError: the config does not say how long its schedule is.
    """
    whole, by_epoch = length(config)
    at = step * whole // steps
    if by_epoch:
        return {"epoch": at, "iter": step, "max_epochs": whole, "max_iters": steps}
    return {"epoch": 0, "iter": at, "max_epochs": 1, "max_iters": whole}


def epoch_of(config: Config, step: int, steps: int) -> tuple[int, int]:
    """The first step of the config's epoch that a step lies in, and the first after it."""
    whole, by_epoch = length(config)
    if not by_epoch:
        return 0, steps
    epoch = step * whole // steps
    return -(-epoch * steps // whole), min(-(-(epoch + 1) * steps // whole), steps)


@contextmanager
def announced(moment: Mapping[str, int]) -> Iterator[None]:
    """Inside, mmengine's message hub says this; afterwards, what it said before."""
    hub = MessageHub.get_current_instance()
    before = {name: hub.get_info(name) for name in moment if name in hub.runtime_info}
    hub.update_info_dict(moment)
    try:
        yield
    finally:
        for name in moment:
            hub.pop_info(name)
        hub.update_info_dict(before)
