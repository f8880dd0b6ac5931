"""Rungs: places in a training at which a candidate is scored, and leaves if it is clearly behind.

All candidates of a study share first weights, batches and augmentations, and a rung scores all of them on the same images, after the same
steps of the same schedule. So a candidate's score at a rung, compared with those of candidates that were trained to the end, forecasts its
score at the end, although all of them are far from it: the learning rate has not come down yet. Whether it does is measured in the study.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from statistics import fmean

from detkds.genome import Recipe
from detkds.objective import Forecast, Goal, Rung
from detkds.search.designer import Designer
from detkds.search.trial import Trial

SHARES = (Fraction(1, 4), Fraction(1, 2))
"""Of a training's steps. The end, 1, is the score."""
CORRELATION = 0.5
"""Kendall's τ of the scores at a rung with those at the end, from which on the rung is used."""
LEAST = 5
"""Candidates that were trained to the end, from which on a rung is used. Of two unrelated lists of 5 one in nine has a τ of 0.6 or more,
but the interval of a line through 5 is wide."""
WHOLE = 4
"""Each so many requests, the first among them, are trained and scored to the end whatever their rungs say: those that stay because of
their rungs would make the correlation look lower, and the line flatter, than they are."""
CONFIDENCE = 0.95
"""With which a candidate that leaves would have ended below the floor."""


class Rungs:
    """Asks what another designer asks, with rungs in the goal.

    What decides, the forecasts and the floor, comes from the trials that were told before the request, so it is the same when a journal is
    replayed and for any number of workers. The candidates of a rung's correlation are those that no rung could stop.

    Args:
        designer: the other one, whose goal has a floor; where it has none candidates are trained to the end.
    """

    def __init__(self, designer: Designer) -> None:
        self._designer = designer
        self._told = 0
        self._whole: list[Trial] = []

    def ask(self) -> Sequence[Recipe]:
        """The other designer's candidates."""
        return self._designer.ask()

    def goal(self) -> Goal:
        """The other designer's, with the rungs that are used; or only rungs to be scored at, for candidates that are trained to the end."""
        goal = self._designer.goal()
        if self._are_whole or goal.floor is None:
            return Goal(rungs=tuple(map(Rung, SHARES)))
        forecasts = {share: self._forecast(share) for share in SHARES}
        rungs = tuple(Rung(share, found, goal.floor) for share, found in forecasts.items() if found is not None)
        return Goal(goal.floor, goal.ceiling, rungs)

    def tell(self, trials: Sequence[Trial]) -> None:
        """The trials of the last ask, in its order."""
        whole = self._are_whole
        self._designer.tell(trials)
        self._told += 1
        if whole:
            self._whole += [trial for trial in trials if trial.score is not None and (trial.answered_by is None or trial.borrowed)]

    @property
    def best(self) -> Trial | None:
        """The other designer's best, which was trained to the end."""
        return self._designer.best

    @property
    def _are_whole(self) -> bool:
        """Whether no rung may stop the candidates last asked."""
        return self._told % WHOLE == 0 or self._designer.goal().floor is None

    def _forecast(self, share: Fraction) -> Forecast | None:
        name = str(share)
        return forecast([(trial.rungs[name], trial.score) for trial in self._whole if trial.score is not None and name in trial.rungs])


def racing(designer: Designer, *, rungs: bool) -> Designer:
    """The designer, with rungs where they are wanted."""
    return Rungs(designer) if rungs else designer


def forecast(scores: Sequence[tuple[float, float]]) -> Forecast | None:
    """The forecast that candidates trained to the end give.

    Args:
        scores: of each at the rung and at the end, in [0, 1].

    Returns:
        None where they are fewer than LEAST, or the rung does not order them as the end does (τ below CORRELATION).
    """
    if len(scores) < LEAST:
        return None
    from scipy.stats import kendalltau, t

    early, late = zip(*scores, strict=True)
    if not float(kendalltau(early, late).statistic) >= CORRELATION:  # nan where one of them is constant
        return None
    means = fmean(early), fmean(late)
    spread = math.fsum((x - means[0]) ** 2 for x in early)
    slope = math.fsum((x - means[0]) * (y - means[1]) for x, y in scores) / spread
    rest = math.fsum((y - means[1] - slope * (x - means[0])) ** 2 for x, y in scores)
    freedom = len(scores) - 2
    return Forecast(len(scores), *means, slope, math.sqrt(rest / freedom), spread, float(t.ppf(CONFIDENCE, freedom)))
