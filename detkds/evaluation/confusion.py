"""Which class was taken for which."""

from __future__ import annotations

import numpy as np

from detkds.evaluation.matching import AT_50, THRESHOLDS, Matches
from detkds.evaluation.scores import Confusion

SCORE = 0.3
"""Detections below this score are not looked at: about what a user would be shown."""
BACKGROUND = "background"


def confusion(matches: Matches, *, score: float = SCORE) -> Confusion:
    """Objects by class (rows) against detections by class (columns) at IoU .5, with "background" as last row and column.

    First every detection finds an object of its own class as in COCO's matching, so the diagonal is COCO's true positives. Then, by falling
    score, what is left of the detections takes what is left of the objects, of any class, with the highest IoU that reaches .5. Detections
    that find nothing count in the row "background" unless they lie in a crowd of their class, and objects not found in its column.
    """
    truth, found, matched = matches.truth, matches.found, matches.matched[AT_50].copy()
    shown = found.score >= score
    matched[~shown] = -1
    free = ~truth.crowd
    free[matched[matched >= 0]] = False
    left = shown & (matched < 0) & ~matches.ignored[AT_50]
    pairs = matches.pairs.take((matches.pairs.iou >= THRESHOLDS[AT_50]) & left[matches.pairs.detection] & free[matches.pairs.truth])
    order = np.lexsort((pairs.truth, -pairs.iou, pairs.detection))  # detections of one image are ordered by score
    for detection, target in zip(pairs.detection[order].tolist(), pairs.truth[order].tolist(), strict=True):
        if free[target] and matched[detection] < 0:
            matched[detection], free[target] = target, False
    hits, classes = matched >= 0, len(truth.classes)
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    np.add.at(matrix, (truth.category[matched[hits]], found.category[hits]), 1)
    matrix[classes, :classes] = np.bincount(found.category[left & ~hits], minlength=classes)
    matrix[:classes, classes] = np.bincount(truth.category[free], minlength=classes)
    return Confusion((*truth.classes, BACKGROUND), tuple(map(tuple, matrix.tolist())), float(THRESHOLDS[AT_50]), score)
