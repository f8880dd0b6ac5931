"""Random draws that depend on their place in the training and on nothing that was drawn before.

Whatever a training step or an image's augmentation draws comes from a seed made of (seed, purpose, place). So all candidates of a study
see the same draws, whatever their losses draw (common random numbers), and a training resumes anywhere without stored generators.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What is drawn; draws of different purposes are independent."""

    ORDER = 1
    AUGMENTATION = 2
    STEP = 3
    UNLABELLED = 4


def derived_seed(seed: int, purpose: Purpose, *place: int) -> int:
    """A seed in [0, 2^32) for one place, for example (epoch, index)."""
    return int(np.random.SeedSequence((seed, purpose, *place)).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch (GPUs included), which mmdet's code draws from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():  # torch.manual_seed takes three stack traces where no GPU was used yet: 1 ms, for each image
        torch.cuda.manual_seed_all(seed)


@contextmanager
def preserved() -> Iterator[None]:
    """The global generators of the CPU are afterwards as they were before."""
    python, legacy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
