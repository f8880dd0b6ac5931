"""Images on which two detectors differ most, for pictures side by side (the paper's Figures 8 to 11)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detkds.evaluation.confusion import SCORE
from detkds.evaluation.example import Box, Example
from detkds.evaluation.matching import AT_50, Matches


def differences(a: Matches, b: Matches, *, limit: int, score: float = SCORE) -> list[tuple[int, float]]:
    """Image ids with |F1 of a − F1 of b| in (0, 1] at IoU .5, the largest first; images without a difference are left out.

    F1 of one image = 2 hits / (detections + objects), over the detections of at least `score`, the ones a picture shows; crowds and what
    lies in them do not count; nothing to find and nothing found is 1. Equal differences are ordered by the difference of hits, so that
    images with more objects come first, then by id.
    """
    (f1_a, hits_a), (f1_b, hits_b) = _f1(a, score), _f1(b, score)
    difference = np.abs(f1_a - f1_b)
    order = np.lexsort((-np.abs(hits_a - hits_b), -difference))  # stable: ids rise
    return [(a.truth.image_ids[place], float(difference[place])) for place in order[:limit].tolist() if difference[place] > 0]


def _f1(matches: Matches, score: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(I,) F1 and hits of every image."""
    images = len(matches.truth.image_ids)
    shown = (matches.found.score >= score) & ~matches.ignored[AT_50]
    hits = np.bincount(matches.found.image[shown & (matches.matched[AT_50] >= 0)], minlength=images)
    total = np.bincount(matches.found.image[shown], minlength=images) + np.bincount(
        matches.truth.image[~matches.truth.crowd], minlength=images
    )
    return np.divide(2.0 * hits, total, out=np.ones(images), where=total > 0), hits


def examples(matches: Mapping[str, Matches], pair: tuple[str, str], *, limit: int, score: float = SCORE) -> tuple[Example, ...]:
    """The images on which the pair differs most, with all objects and each detector's boxes of at least `score`."""
    truth = matches[pair[0]].truth
    chosen = differences(matches[pair[0]], matches[pair[1]], limit=limit, score=score)
    places = {image: place for place, image in enumerate(truth.image_ids)}
    return tuple(
        Example(
            image,
            f"examples/{image}.jpg",
            int(truth.sizes[places[image], 1]),
            int(truth.sizes[places[image], 0]),
            difference,
            _objects(matches[pair[0]], places[image]),
            {name: _detections(one, places[image], score) for name, one in matches.items()},
        )
        for image, difference in chosen
    )


def _objects(matches: Matches, image: int) -> tuple[Box, ...]:
    truth = matches.truth
    places = np.flatnonzero(truth.image == image)
    return tuple(
        Box((*truth.box[place].tolist(),), truth.classes[truth.category[place]], None, bool(truth.crowd[place])) for place in places
    )


def _detections(matches: Matches, image: int, score: float) -> tuple[Box, ...]:
    found, classes = matches.found, matches.truth.classes
    places = np.flatnonzero((found.image == image) & (found.score >= score))
    return tuple(Box((*found.box[place].tolist(),), classes[found.category[place]], float(found.score[place])) for place in places)
