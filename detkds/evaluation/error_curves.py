"""COCO's analysis of error kinds: what precision would be if one kind of error after another were forgiven (the paper's Figure 7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detkds.evaluation.matching import AT_50, AT_75, AT_FLOOR, Matches
from detkds.evaluation.ranking import RECALLS, Ranking, curve, rankings
from detkds.evaluation.truth import Truth

ERROR_CURVES = ("C75", "C50", "Loc", "Sim", "Oth", "BG", "FN")


def error_curves(matches: Matches) -> dict[str, tuple[float, ...]]:
    """Seven curves of precision over the 101 recalls, each at least as high as the one before it, means over the classes with objects.

    C75 and C50: at IoU .75 and .5. Loc: at IoU .1, so that no error of place is left. Sim: also without the false positives that cover
    (by a tenth of their area) an object of another class with the same supercategory; a class without a supercategory has no similar
    ones. Oth: also without those on an object of any other class. BG: also without all other false positives, so 1 up to the recall that
    is reached. FN: 1 throughout. The area between two curves is what the kind of the upper one costs. nan without any object.

    Source: Figure 7; `analyze` of the COCO API, whose Python form is mmdet's coco_error_analysis.py (which counts classes without objects
    as 0, so that its means are lower).
    """
    similar, other = _confused(matches)
    by_class = [_curves(matches, ranking, similar, other) for ranking in rankings(matches)]
    means = np.mean(by_class, axis=0) if by_class else np.full((len(ERROR_CURVES), len(RECALLS)), np.nan)
    return {name: tuple(row) for name, row in zip(ERROR_CURVES, means.tolist(), strict=True)}


def _curves(matches: Matches, ranking: Ranking, similar: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(7, 101) of one class."""
    correct, ignored = matches.matched[:, ranking.order] >= 0, matches.ignored[:, ranking.order]
    objects = len(ranking.object_images)

    def forgiving(threshold: int, forgiven: NDArray[np.bool_]) -> NDArray[np.float64]:
        return curve(correct[threshold][correct[threshold] | ~(ignored[threshold] | forgiven)], objects)

    nothing = np.zeros(len(ranking.order), np.bool_)
    found = [forgiving(threshold, nothing) for threshold in (AT_75, AT_50, AT_FLOOR)]
    found += [forgiving(AT_FLOOR, confused[ranking.order]) for confused in (similar, other)]
    return np.stack([*found, (found[-1] > 0).astype(np.float64), np.ones(len(RECALLS))])


def _confused(matches: Matches) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(D,) each: does the detection cover an object of another class with the same supercategory; of any other class."""
    ours, theirs = matches.found.category[matches.pairs.detection], matches.truth.category[matches.pairs.truth]
    groups = _groups(matches.truth)
    similar, other = np.zeros((2, len(matches.found)), np.bool_)
    other[matches.pairs.detection[ours != theirs]] = True
    similar[matches.pairs.detection[(ours != theirs) & (groups[ours] == groups[theirs])]] = True
    return similar, other


def _groups(truth: Truth) -> NDArray[np.int64]:
    """(C,) a number shared by the classes of one supercategory."""
    first = {name: place for place, name in reversed(list(enumerate(truth.supercategories)))}
    return np.array([place if name is None else first[name] for place, name in enumerate(truth.supercategories)], np.int64)
