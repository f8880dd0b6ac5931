"""How much the choice in each slot matters for the score, as far as a study's candidates show."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from detkds.report.study import ReportedStudy

SHUFFLES = 199


@dataclass(frozen=True)
class Importance:
    """The importance of one slot.

    Args:
        study: its name.
        slot: attention, scale, … or a knowledge in the search over weights.
        share: eta², the part of the scores' variance that lies between the words of the slot, 0 to 1.
        chance: what 95 % of shuffles of the scores stay below; eta² is large by chance alone where many words share few candidates.
        words: how many words of the slot have a candidate with a score.
        candidates: how many different candidates have a score.
    """

    study: str
    slot: str
    share: float
    chance: float
    words: int
    candidates: int


def importances(study: ReportedStudy) -> list[Importance]:
    """The importance of each slot of a study, in the slots' order; none where scores are fewer than three or all equal."""
    scored = [(words, trial.score) for trial, words in study.choices if trial.score is not None and trial.scored]
    mean = fmean([score for _, score in scored]) if scored else 0.0
    scores = [score - mean for _, score in scored]
    if len(scores) < 3 or max(scores) == min(scores):
        return []
    return [_importance(study.name, slot, [words[place] for words, _ in scored], scores) for place, slot in enumerate(study.slots)]


def _importance(study: str, slot: str, words: Sequence[str], scores: Sequence[float]) -> Importance:
    groups = [[place for place, other in enumerate(words) if other == word] for word in dict.fromkeys(words)]
    draw = random.Random(0)
    shuffled = sorted(eta_squared(groups, draw.sample(scores, len(scores))) for _ in range(SHUFFLES))
    bound = shuffled[round(0.95 * (SHUFFLES - 1))]
    return Importance(study, slot, eta_squared(groups, scores), bound, len(groups), len(scores))


def eta_squared(groups: Sequence[Sequence[int]], scores: Sequence[float]) -> float:
    """Variance between groups, given as places, over variance; of scores with mean 0 that are not all equal."""
    between = sum(sum(scores[place] for place in group) ** 2 / len(group) for group in groups)
    return between / sum(score * score for score in scores)
