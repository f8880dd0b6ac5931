"""Which detection finds which object, once, for everything that is counted beyond COCO's figures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from detkds.evaluation.found import MAX_DETECTIONS, Found
from detkds.evaluation.truth import Kind, Truth

FLOOR = 0.1
"""An overlap below this is none: where Figures 6 and 7 part errors of place from background."""
THRESHOLDS: NDArray[np.float64] = np.append(np.linspace(0.5, 0.95, 10), FLOOR)
"""COCO's ten IoU thresholds, the same numbers as pycocotools', and the floor."""
COCO = slice(0, 10)
AT_50, AT_75, AT_FLOOR = 0, 5, 10
"""Places in THRESHOLDS."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """P pairs of a detection and an object (or crowd) of the same image, of any classes, whose `cover` is at least .1.

    Args:
        detection: (P,) int64, ascending.
        truth: (P,) int64, ascending within one detection.
        iou: (P,) intersection over union.
        cover: (P,) intersection over the detection's own area, never below the IoU; what COCO takes for crowds.
    """

    detection: NDArray[np.int64]
    truth: NDArray[np.int64]
    iou: NDArray[np.float64]
    cover: NDArray[np.float64]

    def take(self, chosen: NDArray[np.bool_]) -> Pairs:
        return Pairs(self.detection[chosen], self.truth[chosen], self.iou[chosen], self.cover[chosen])


@dataclass(frozen=True, slots=True)
class Matches:
    """The detections of one detector beside the truth, limited to 100 of one class in one image.

    Args:
        truth: G objects.
        found: D detections.
        pairs: what overlaps.
        matched: (11 THRESHOLDS, D) place of the object that the detection finds, −1 for none.
        ignored: (11, D) bool, COCO does not count the detection because it lies in a crowd of its class.
    """

    truth: Truth
    found: Found
    pairs: Pairs
    matched: NDArray[np.int64]
    ignored: NDArray[np.bool_]


def match(truth: Truth, found: Found, kind: Kind) -> Matches:
    """COCO's matching: by falling score each detection takes the free object of its class and image with the highest IoU that reaches the
    threshold, the later one of two equals; what finds none but lies in a crowd (cover at the threshold) is ignored."""
    rank = found.rank()
    found, rank = found.take(rank < MAX_DETECTIONS), rank[rank < MAX_DETECTIONS]
    pairs = overlaps(truth, found, kind)
    own = pairs.take(found.category[pairs.detection] == truth.category[pairs.truth])
    crowd = truth.crowd[own.truth]
    regular, crowds = _by_rank(own.take(~crowd), rank), own.take(crowd)
    matched = np.full((len(THRESHOLDS), len(found)), -1, np.int64)
    ignored = np.zeros(matched.shape, np.bool_)
    for place, threshold in enumerate(THRESHOLDS):
        matched[place] = _greedy(regular.take(regular.iou >= threshold), rank, len(found), len(truth.image))
        ignored[place, crowds.detection[crowds.cover >= threshold]] = True
        ignored[place] &= matched[place] < 0
    return Matches(truth, found, pairs, matched, ignored)


def overlaps(truth: Truth, found: Found, kind: Kind) -> Pairs:
    """All pairs of one image that overlap enough to matter, by pycocotools' arithmetic."""
    images = len(truth.image_ids)
    objects, detections = np.searchsorted(truth.image, np.arange(images + 1)), np.searchsorted(found.image, np.arange(images + 1))
    parts = [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))]
    for image in np.flatnonzero((np.diff(objects) > 0) & (np.diff(detections) > 0)).tolist():
        theirs, ours = slice(objects[image], objects[image + 1]), slice(detections[image], detections[image + 1])
        a, b = (found.box[ours], truth.box[theirs]) if kind == "bbox" else (found.masks[ours], truth.masks[theirs])  # type: ignore[index]
        cover = mask.iou(a, b, [1] * len(b))
        rows, columns = np.nonzero(cover >= FLOOR)
        iou = mask.iou(a, b, [0] * len(b))
        parts.append(Pairs(rows + ours.start, columns + theirs.start, iou[rows, columns], cover[rows, columns]))
    return Pairs(
        np.concatenate([part.detection for part in parts]),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.iou for part in parts]),
        np.concatenate([part.cover for part in parts]),
    )


def _by_rank(pairs: Pairs, rank: NDArray[np.int64]) -> Pairs:
    """Sorted by the detection's rank, within one detection by rising IoU and at equal IoU by place."""
    order = np.lexsort((pairs.truth, pairs.iou, pairs.detection, rank[pairs.detection]))
    return Pairs(pairs.detection[order], pairs.truth[order], pairs.iou[order], pairs.cover[order])


def _greedy(pairs: Pairs, rank: NDArray[np.int64], detections: int, objects: int) -> NDArray[np.int64]:
    """(D,) the object of each detection. Detections of one rank are of different images or classes, so none takes another's object, and
    all of them choose at once: the last free one of their pairs."""
    matched = np.full(detections, -1, np.int64)
    free = np.ones(objects, np.bool_)
    ranks = rank[pairs.detection]
    rounds = np.flatnonzero(np.diff(ranks, prepend=-1))
    for start, end in pairwise([*rounds.tolist(), len(ranks)]):
        detection, truth = pairs.detection[start:end], pairs.truth[start:end]
        firsts = np.flatnonzero(np.diff(detection, prepend=-1))
        last_free = np.maximum.reduceat(np.where(free[truth], np.arange(end - start), -1), firsts)
        chosen = last_free[last_free >= 0]
        matched[detection[chosen]] = truth[chosen]
        free[truth[chosen]] = False
    return matched
