"""Precision at COCO's recalls from matches: one class at a time, by falling score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detkds.evaluation.matching import Matches

RECALLS: NDArray[np.float64] = np.linspace(0, 1, 101, dtype=np.float64)
"""COCO's recalls, the same numbers as pycocotools': some differ from k / 100 in the last bit."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The n detections of one class over all images by falling score, at equal scores by image id and as given.

    Args:
        category: the class's place.
        order: (n,) places of the detections in `Matches.found`.
        image: (n,) the image of each.
        object_images: (m,) the image of each of the class's m objects, crowds left out.
    """

    category: int
    order: NDArray[np.int64]
    image: NDArray[np.int64]
    object_images: NDArray[np.int64]


def rankings(matches: Matches) -> Iterator[Ranking]:
    """Each class that has an object."""
    truth, found = matches.truth, matches.found
    order = np.lexsort((-found.score, found.category))  # stable, and the detections are ordered by image
    ends = np.searchsorted(found.category[order], np.arange(len(truth.classes) + 1))
    for category in np.flatnonzero(truth.objects()).tolist():
        own = order[ends[category] : ends[category + 1]]
        yield Ranking(category, own, found.image[own], truth.image[(truth.category == category) & ~truth.crowd])


def curve(correct: NDArray[np.bool_], objects: int, recalls: NDArray[np.float64] = RECALLS) -> NDArray[np.float64]:
    """(101,) precision at the recalls: the best precision at this recall or a higher one, 0 where the recall is not reached.

    Args:
        correct: (n,) whether each detection, by falling score, finds an object; without the ignored ones.
        objects: how many there are to find, at least 1.
        recalls: ascending, in [0, 1].
    """
    true = np.cumsum(correct)
    precision = true / np.arange(1, len(correct) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return np.append(envelope, 0.0)[np.searchsorted(true / objects, recalls)]
