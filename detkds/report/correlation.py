"""How well one order of candidates agrees with another (Figure 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """Correlations of two lists of scores, -1 to 1; nan where one list is constant.

    Args:
        spearman: of the ranks, equal scores sharing their mean rank.
        kendall: tau-b, pairs in the same order minus pairs in the opposite one.
        pearson: of the scores themselves, which is what the paper's Figure 5 gives.
        candidates: how many were compared.
    """

    spearman: float
    kendall: float
    pearson: float
    candidates: int


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement:
    """How two lists of finite scores of the same candidates agree."""
    if min(len(set(first)), len(set(second))) < 2:
        return Agreement(math.nan, math.nan, math.nan, len(first))
    from scipy.stats import kendalltau, pearsonr, spearmanr  # slow to import, and most reports compare no scores

    spearman, kendall, pearson = (float(measure(first, second).statistic) for measure in (spearmanr, kendalltau, pearsonr))
    return Agreement(spearman, kendall, pearson, len(first))
