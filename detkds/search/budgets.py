"""What a search may cost, as a person says it: `60 trainings`, `30 min`, `2 h`, `2 GPU-hours`, or a word; and the plan that fits.

The unit is a candidate's short training. A third of a budget or so goes into the final race, whose trainings are twice as long; of the rest
a fifth into the search over weights, and the others equally into the knowledges, a third of them as first population as in Algorithm 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detkds.errors import ConfigError
from detkds.search.settings import KNOWN_RUNNERS, SearchSettings

DISTILLERS = 5
"""Known distillers that are measured before the race, at most."""
LENGTH = 2
"""Short trainings that a training of the race costs."""
RACES = ((150, 4, 3), (80, 3, 2), (0, 2, 2))
"""(trainings from which on, candidates, seeds)."""
WORDS = ("quick", "paper-20", "paper-40")
_SECONDS = {"min": 60.0, "h": 3600.0, "GPU-hours": 3600.0, "GPU-hour": 3600.0}
_FORM = re.compile(rf"([0-9]+(?:\.[0-9]+)?) *(trainings|{'|'.join(sorted(_SECONDS, key=len, reverse=True))})")
FORMS = "60 trainings, 30 min, 2 h, 2 GPU-hours, " + ", ".join(WORDS)


@dataclass(frozen=True)
class Plan:
    """The numbers of a search.

    Args:
        population, iterations, top_k: P, T, k of a single knowledge's search.
        weights_population, weights_iterations: P, T of the search over weights.
        race_candidates, race_seeds: of the final race.
    """

    population: int
    iterations: int
    top_k: int
    weights_population: int
    weights_iterations: int
    race_candidates: int
    race_seeds: int

    def trainings(self, knowledges: int) -> int:
        """What the search costs at most, in short trainings."""
        weights = max(self.weights_population - knowledges, 2) + self.weights_iterations
        return 1 + knowledges * (self.population + 2 * self.iterations) + weights + _race(self.race_candidates, self.race_seeds)

    def settings(self) -> dict[str, Any]:
        """Keys of the section `search` of a run.yaml."""
        return {
            "population": self.population,
            "iterations": self.iterations,
            "top_k": self.top_k,
            "weights": {"population": self.weights_population, "iterations": self.weights_iterations},
            "final_race": {"candidates": self.race_candidates, "seeds": self.race_seeds},
        }


def plan(budget: str, knowledges: int, *, training_s: float | None = None) -> Plan:
    """The plan that a budget allows.

    Args:
        budget: one of the forms; `quick` is 60 trainings or the least that is possible, `paper-20` and `paper-40` are Algorithm 1's literal
            numbers with both readings of T.
        knowledges: how many are searched, at least 1.
        training_s: seconds of a candidate's short training on one device, for the forms that are a time. Most candidates follow one
            another, so minutes count as those of one device.

    Raises:
        ConfigError: another form, a time without `training_s`, or less than the least search costs.
    """
    if budget in PAPER:
        return PAPER[budget]
    if budget == "quick":
        return _fitting(max(60, least(knowledges)), knowledges)
    count, unit = _parsed(budget)
    if unit == "trainings":
        return _checked(budget, int(count), knowledges)
    if training_s is None:
        raise ConfigError(
            f"search.budget: {budget} is a time, and how long a training takes is known where it runs; give trainings instead."
        )
    return _checked(f"{budget}, at {training_s:.1f} s a training {int(count * _SECONDS[unit] / training_s)} trainings,",
                    int(count * _SECONDS[unit] / training_s), knowledges)  # fmt: skip


def is_time(budget: str) -> bool:
    """Whether a budget needs to know how long a training takes.

    Raises:
        ConfigError: it is none of the forms.
    """
    return budget not in WORDS and _parsed(budget)[1] != "trainings"


def least(knowledges: int) -> int:
    """Trainings of the least search: two candidates per knowledge, their combination, the smallest race."""
    return Plan(2, 0, 1, 2, 0, *RACES[-1][1:]).trainings(knowledges)


def _parsed(budget: str) -> tuple[float, str]:
    found = _FORM.fullmatch(budget.strip())
    if found is None:
        raise ConfigError(f"search.budget: {budget!r} is not a budget; write one of: {FORMS}.")
    return float(found[1]), found[2]


def _checked(budget: str, trainings: int, knowledges: int) -> Plan:
    if trainings < least(knowledges):
        raise ConfigError(
            f"search.budget: {budget} is less than the least search of {knowledges} knowledges, {least(knowledges)} trainings; "
            "give more, or search fewer knowledges."
        )
    return _fitting(trainings, knowledges)


def _fitting(trainings: int, knowledges: int) -> Plan:
    candidates, seeds = next(race[1:] for race in RACES if trainings >= race[0])
    left = trainings - 1 - _race(candidates, seeds)
    weights = max(2, left // 5)
    single = max(2, (left - weights) // knowledges)
    population = max(2, min(PAPER["paper-20"].population, single // 3))
    iterations = (single - population) // 2
    weights = left - knowledges * (population + 2 * iterations)
    combinations = min(10, max(2, weights // 3))
    top_k = max(1, population // 4)
    return Plan(population, iterations, top_k, knowledges + combinations, weights - combinations, candidates, seeds)


def _race(candidates: int, seeds: int) -> int:
    return (DISTILLERS + LENGTH * seeds * (1 + KNOWN_RUNNERS + candidates)) if candidates else 0


def _paper(name: str) -> Plan:
    settings = SearchSettings.preset(name)
    return Plan(settings.population, settings.iterations, settings.top_k, 10, 40, 4, 3)


PAPER: Mapping[str, Plan] = {"paper-20": _paper("paper-20"), "paper-40": _paper("paper")}
"""Algorithm 1's literal (P, T); what comes after the search over weights is not the paper's."""
