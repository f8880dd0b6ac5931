"""How well one order of candidates agrees with another (Figure 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import StatisticsError, correlation


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
    return Agreement(_pearson(_ranks(first), _ranks(second)), _kendall(first, second), _pearson(first, second), len(first))


def _pearson(first: Sequence[float], second: Sequence[float]) -> float:
    try:
        return correlation(first, second)
    except StatisticsError:  # fewer than two, or all equal
        return math.nan


def _ranks(values: Sequence[float]) -> list[float]:
    return [sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values]


def _kendall(first: Sequence[float], second: Sequence[float]) -> float:
    signs = [(_sign(first[i] - first[j]), _sign(second[i] - second[j])) for i in range(len(first)) for j in range(i)]
    untied = math.sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs))
    return sum(a * b for a, b in signs) / untied if untied else math.nan


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
