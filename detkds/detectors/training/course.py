"""Trainings that advance side by side: each step of all of them has the same batch, which is made once."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Generator, Iterator, Mapping
from typing import Any, TypeVar

from detkds.errors import DetKDSError

Key = TypeVar("Key")
Batches = Iterator[tuple[Any, Any]]
"""A step's batch, and beside it the one without labels or None."""
Course = Generator[Batches | None, Any, None]
"""A training that asks for a batch a step, see `Training.course`."""


def supply(courses: Mapping[Key, Course]) -> dict[Key, Exception]:
    """Advance trainings to their ends, step by step, with the same batches.

    A training that fails leaves; the others continue unchanged.

    Args:
        courses: of equal length, over the same images in the same order.

    Returns:
        The errors of those that failed.

    Raises:
        DetKDSError: a batch could not be made, which concerns all of them.
    """
    left = dict(courses)
    faults: dict[Key, Exception] = {}
    source: Batches = iter(())
    batch: Any = None
    while left:
        anew = [_advance(name, left, faults, batch) for name in list(left)]
        source = next((batches for batches in anew if batches is not None), source)
        if left and (batch := next(source, None)) is None:
            raise DetKDSError("a training asked for more batches than its images give; please report this.")
    return faults


def _advance(name: Key, left: dict[Key, Course], faults: dict[Key, Exception], batch: Any) -> Batches | None:
    """Let one training take its step with this batch (None: it begins); the batches from the next step on, where they are made anew."""
    try:
        return left[name].send(batch if batch is None or len(left) == 1 else _own(batch))
    except StopIteration:
        del left[name]
    except Exception as error:  # of whatever kind: it concerns this training alone
        del left[name]
        faults[name] = error
        traceback.clear_frames(error.__traceback__)  # what they hold of the step is memory that the others need
    return None


def _own(batch: tuple[Any, Any]) -> tuple[Any, Any]:
    """The batches of a step, with labels and without, for one training: detectors write into samples, and nobody writes into images."""
    labelled, unlabelled = (
        part and {name: list(value) if name == "inputs" else copy.deepcopy(value) for name, value in part.items()} for part in batch
    )
    return labelled, unlabelled
