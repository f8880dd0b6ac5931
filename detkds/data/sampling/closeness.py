"""How close a sample's proportions of classes and sizes are to the whole's: COCO minitrain's criterion, and chi-square.

A cell is one class in one size. Cells that the whole lacks have no proportion and take no part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ratios(counts: Floats, full: Floats) -> Floats:
    """Each cell's proportion in the sample over its proportion in the whole: (c / C) / (f / F), 1 where they agree.

    Args:
        counts: (..., M) objects c of the sample a cell; C is their sum. A sample without objects has ratios of 0.
        full: (M,) objects f of the whole, each above 0; F is their sum.

    Returns:
        (..., M) from 0 up.
    """
    share = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    ratio: Floats = share / (full / full.sum())
    return ratio


def criterion(counts: Floats, full: Floats) -> Floats:
    """COCO minitrain's criterion: the largest of the cells' `ratios` less the smallest; 0 is best.

    minitrain's own code (sample_coco.py) takes c / f. Its criterion is this one times C / F, the sample's share of the objects; as it
    stands here it compares samples of different sizes too.
    """
    ratio = ratios(counts, full)
    spread: Floats = ratio.max(axis=-1) - ratio.min(axis=-1)
    return spread


def chi2(counts: Floats, full: Floats, share: float) -> Floats:
    """Sum over the cells of (c - t)^2 / t, with t = share x f; 0 is best.

    Args:
        counts, full: as in `ratios`.
        share: the sample's share of the images with objects, above 0.
    """
    target = share * full
    total: Floats = ((counts - target) ** 2 / target).sum(axis=-1)
    return total
