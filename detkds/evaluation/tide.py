"""TIDE (Bolya et al., ECCV 2020): how much AP each kind of error costs (the paper's Figure 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detkds.evaluation.matching import AT_50, FLOOR, Matches, Pairs
from detkds.evaluation.ranking import curve

TIDE = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss", "FalsePos", "FalseNeg")
POSITIVE = 0.5
MAX_DETECTIONS = 100
"""TIDE looks at this many detections of one image, all classes together."""
_RECALLS: NDArray[np.float64] = np.arange(101) / 100


@dataclass(frozen=True, slots=True)
class _Errors:
    """The n detections of TIDE, by image and falling score.

    Args:
        place: (n,) in `Matches.found`.
        correct: (n,) bool.
        ignored: (n,) bool, false but in a crowd of its class.
        kind: (n,) a name of TIDE where the detection is false, else "".
        target: (n,) the object that a Cls or Loc error meant, else −1.
        mends: (n,) bool, of all errors that meant a free object this is the one that would find it.
    """

    place: NDArray[np.int64]
    correct: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    kind: NDArray[np.str_]
    target: NDArray[np.int64]
    mends: NDArray[np.bool_]


def tide(matches: Matches) -> dict[str, float]:
    """What AP at IoU .5 would gain, in [0, 1], if one kind of error were mended and everything else stayed.

    A false detection is, in this order: Loc, its best overlap with its own class is in [.1, .5]; Cls, it overlaps another class by .5;
    Dupe, it overlaps by .5 an object of its class that a better detection has; Bkg, it overlaps nothing by more than .1; else Both. Mending
    makes the first Loc or Cls error of each free object right and removes all other errors of the kind. Miss: objects that no detection
    finds and no Loc or Cls error means; mending removes them. FalsePos: all false detections come last. FalseNeg: all objects that are
    not found are removed.

    As in tidecv, AP is a mean over classes that have an object or a detection, so it is lower than COCO's where a class has detections
    only, and only the 100 best detections of an image count. nan with neither object nor detection.
    """
    errors = _errors(matches)
    truth = matches.truth
    unfound = ~truth.crowd
    unfound[matches.matched[AT_50, errors.place[errors.correct]]] = False
    missed = unfound.copy()
    missed[errors.target[errors.target >= 0]] = False
    objects = truth.objects()
    score = matches.found.score[errors.place]
    base = _mean_precision(matches, errors, None, score, objects)
    mended = {kind: _mean_precision(matches, errors, kind, score, objects) for kind in TIDE[:5]}
    mended["Miss"] = _mean_precision(matches, errors, "", score, objects - _per_class(matches, missed))
    gains = {kind: max(value - base, 0.0) if base == base else base for kind, value in mended.items()}  # below 0: only by the 101 bins
    perfect = _mean_precision(matches, errors, "", errors.correct.astype(np.float64), objects)
    complete = _mean_precision(matches, errors, "", score, objects - _per_class(matches, unfound))
    return gains | {"FalsePos": perfect - base, "FalseNeg": complete - base}


def _per_class(matches: Matches, objects: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.bincount(matches.truth.category[objects], minlength=len(matches.truth.classes))


def _errors(matches: Matches) -> _Errors:
    place = np.flatnonzero(_rank_in_image(matches.found.image) < MAX_DETECTIONS)
    matched = matches.matched[AT_50]
    truth, pairs = matches.truth, matches.pairs
    same = matches.found.category[pairs.detection] == truth.category[pairs.truth]
    in_crowd = np.zeros(len(matches.found), np.bool_)
    in_crowd[pairs.detection[same & truth.crowd[pairs.truth] & (pairs.cover > POSITIVE)]] = True
    regular = ~truth.crowd[pairs.truth]
    taken = np.zeros(len(truth.image), np.bool_)
    taken[matched[place][matched[place] >= 0]] = True
    own, own_target = _best(pairs, regular & same, len(matched))
    other, other_target = _best(pairs, regular & ~same, len(matched))
    dupe, _ = _best(pairs, regular & same & taken[pairs.truth], len(matched))
    false = matched < 0
    kinds = [(own >= FLOOR) & (own <= POSITIVE), other >= POSITIVE, dupe >= POSITIVE, np.maximum(own, other) <= FLOOR]
    kind = np.where(false, np.select(kinds, ["Loc", "Cls", "Dupe", "Bkg"], "Both"), "")[place]
    target = np.select([kind == "Loc", kind == "Cls"], [own_target[place], other_target[place]], -1)
    mends = np.zeros(len(place), np.bool_)
    aimed = np.flatnonzero(target >= 0)
    aimed = aimed[~taken[target[aimed]]]
    mends[aimed[np.unique(target[aimed], return_index=True)[1]]] = True  # the first, so the one of the highest score
    return _Errors(place, ~false[place], (false & in_crowd)[place], kind, target, mends)


def _best(pairs: Pairs, chosen: NDArray[np.bool_], detections: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(D,) highest IoU of each detection among the chosen pairs (0: none) and its object (−1: none), the first of equals."""
    pairs = pairs.take(chosen)
    order = np.lexsort((-pairs.truth, pairs.iou, pairs.detection))
    iou, target = np.zeros(detections), np.full(detections, -1, np.int64)
    iou[pairs.detection[order]], target[pairs.detection[order]] = pairs.iou[order], pairs.truth[order]  # the last one stays
    return iou, target


def _mean_precision(matches: Matches, errors: _Errors, mended: str | None, score: NDArray[np.float64], objects: NDArray[np.int64]) -> float:
    """TIDE's AP at IoU .5 with the errors of one kind mended; "" for no kind, None for the detections as they are."""
    repaired = (errors.kind == mended) & errors.mends
    wrong = repaired | ((errors.kind != "") & (errors.kind != mended) & ~errors.ignored)
    keep = np.concatenate([np.flatnonzero(wrong), np.flatnonzero(errors.correct)])
    # At equal scores tidecv puts false detections first once it mends something, and else keeps the order of images.
    keep = np.sort(keep) if mended is None else keep
    category = matches.found.category[errors.place]
    renamed = repaired & (errors.kind == "Cls")
    category[renamed] = matches.truth.category[errors.target[renamed]]
    category = category[keep]
    correct = (errors.correct | repaired)[keep]
    order = np.lexsort((-score[keep], category))
    ends = np.searchsorted(category[order], np.arange(len(objects) + 1))
    values = []
    for place, positives in enumerate(objects.tolist()):
        own = order[ends[place] : ends[place + 1]]
        if positives > 0:
            values.append(float(np.mean(curve(correct[own], positives, _RECALLS))))
        elif len(own):
            values.append(0.0)
    return float(np.mean(values)) if values else float("nan")


def _rank_in_image(image: NDArray[np.int64]) -> NDArray[np.int64]:
    """(D,) place of each detection within its image, from 0."""
    return np.arange(len(image)) - np.searchsorted(image, image)
