"""Population: the trials from which the next candidates descend."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from detkds.objective import Goal
from detkds.search.settings import SearchSettings
from detkds.search.trial import Trial


class Population:
    """At most `settings.population` trials with a score.

    Rejected trials count as -inf and would be the first to leave, so they never join; a population that many rejections left short
    fills up again before anyone leaves.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self._settings = settings
        self._members: list[Trial] = []

    def __len__(self) -> int:
        return len(self._members)

    @property
    def members(self) -> tuple[Trial, ...]:
        """The members in the order in which they joined."""
        return tuple(self._members)

    def join(self, trials: Iterable[Trial]) -> None:
        """Append those with a score; then the worst leave (Alg. 1, lines 9 and 10). Of equals the older leaves, so the search drifts."""
        self._members += [trial for trial in trials if trial.score is not None]
        while len(self._members) > self._settings.population:
            self._members.remove(min(self._members, key=_rank))

    def parents(self, rng: random.Random) -> list[Trial]:
        """The top k of a pool of ceil(rP) members drawn without replacement (Alg. 1, lines 4 to 6), best first."""
        pool = rng.sample(self._members, self._settings.pool_size(len(self._members)))
        return sorted(pool, key=_rank, reverse=True)[: self._settings.top_k]

    def goal(self) -> Goal:
        """Floor: the k-th best score, below which a candidate cannot become one of the top k. Ceiling: the best."""
        scores = sorted((trial.score for trial in self._members if trial.score is not None), reverse=True)
        top_k = self._settings.top_k
        return Goal(scores[top_k - 1] if len(scores) >= top_k else None, scores[0] if scores else None)


def _rank(trial: Trial) -> tuple[float, int]:
    return (-math.inf if trial.score is None else trial.score, trial.number)


class Breeding:
    """What every designer with a population says about it."""

    _population: Population

    @property
    def population(self) -> tuple[Trial, ...]:
        """The present members, in the order in which they joined."""
        return self._population.members

    def goal(self) -> Goal:
        """Floor: the k-th best score of the population; ceiling: the best."""
        return self._population.goal()
