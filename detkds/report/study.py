"""A search as results.json holds it and the report shows it: its candidates, and what follows from them.

Plain texts and numbers, so that a page can be drawn where the words of a plugin are not installed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from detkds.errors import GenomeError
from detkds.genome import Genome, Knowledge, Recipe
from detkds.genome.decisions import decided, decisions
from detkds.genome.genome import format_weight
from detkds.objective import SCORES, scored_by
from detkds.reading import flag, integer, number, sequence, text

WEIGHTS = "weights"
"""The name of the search over weights; the others bear the name of a knowledge."""
RANDOM = "random"


@dataclass(frozen=True)
class ReportedTrial:
    """One candidate of a study.

    Args:
        number: place in the journal; 0 is training without distillation.
        candidate: the genome, or the recipe with one line per genome.
        score: on search-val, in [0, 1]; None unless complete.
        state: complete, left, rejected, failed or running.
        reason: of a rejected or failed candidate, or of one that left at a rung, `kind: detail`.
        seconds: wall-clock time, None where unknown.
        partial: validation was stopped early, so the score is a bound.
    """

    number: int
    candidate: str
    score: float | None
    state: str
    reason: str | None = None
    seconds: float | None = None
    partial: bool = False

    @classmethod
    def read(cls, data: Any) -> ReportedTrial:
        """From results.json."""
        return cls(
            integer(data["number"]),
            text(data["candidate"]),
            None if data["score"] is None else number(data["score"]),
            text(data["state"]),
            None if data["reason"] is None else text(data["reason"]),
            None if data["seconds"] is None else number(data["seconds"]),
            flag(data["partial"]),
        )

    @property
    def scored(self) -> bool:
        """True where the score is a finite number."""
        return self.score is not None and math.isfinite(self.score)

    @property
    def kind(self) -> str:
        """The reason's first word: nan, too-large, … or the state where no reason was given."""
        return (self.reason or self.state).partition(":")[0].strip().lower()

    @cached_property
    def recipe(self) -> Recipe | None:
        """The candidate as losses; None where its text is none."""
        try:
            return Recipe.parse(self.candidate)
        except GenomeError:
            return None


@dataclass(frozen=True)
class ReportedStudy:
    """The search of one knowledge, or of the weights.

    Args:
        name: a knowledge, or "weights".
        trials: all candidates in the journal's order.
        algorithm: evolution, random, …
        scored_by: what scores are, a key of `objective.SCORES`.
    """

    name: str
    trials: tuple[ReportedTrial, ...]
    algorithm: str = "evolution"
    scored_by: str = "ap"

    @classmethod
    def read(cls, data: Any) -> ReportedStudy:
        """From results.json."""
        trials = tuple(map(ReportedTrial.read, sequence(data["trials"])))
        return cls(text(data["name"]), trials, text(data["algorithm"]), scored_by(data))

    @property
    def word(self) -> str:
        """What stands above its scores."""
        return SCORES[self.scored_by]

    @property
    def last(self) -> int:
        """The highest number of a candidate; 0 without candidates."""
        return max((trial.number for trial in self.trials), default=0)

    @cached_property
    def baseline(self) -> float | None:
        """The score of candidate 0."""
        return next((trial.score for trial in self.trials if trial.number == 0 and trial.scored), None)

    @cached_property
    def best_distilled(self) -> ReportedTrial | None:
        """The candidate with the highest score, candidate 0 left out, the earlier one of equals. A score that is a bound counts as it
        stands: the search stops a validation only below or beyond what it still cares for."""
        return max(self.scored, key=lambda trial: (trial.score, -trial.number), default=None)

    @property
    def gain(self) -> float | None:
        """The best candidate's score minus candidate 0's."""
        if self.best_distilled is None or self.best_distilled.score is None or self.baseline is None:
            return None
        return self.best_distilled.score - self.baseline

    @property
    def scored(self) -> list[ReportedTrial]:
        """The candidates with a score, candidate 0 left out."""
        return [trial for trial in self.trials if trial.number > 0 and trial.scored]

    def best_so_far(self) -> list[tuple[int, float]]:
        """(number, score) of each candidate that was better than all before it."""
        steps: list[tuple[int, float]] = []
        for trial in self.scored:
            if trial.score is not None and (not steps or trial.score > steps[-1][1]):
                steps.append((trial.number, trial.score))
        return steps

    @cached_property
    def states(self) -> Counter[str]:
        """How many candidates ended how."""
        return Counter(trial.state.lower() for trial in self.trials)

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """What a candidate decides: the slots of the knowledge's genomes and what else these differ in, see `decided`, or the knowledges
        whose weights are searched."""
        genomes = [genome for trial in self.trials if trial.recipe for genome in trial.recipe.genomes]
        if self.name == WEIGHTS:
            there = {genome.knowledge for genome in genomes}
            return tuple(str(knowledge) for knowledge in Knowledge if knowledge in there)
        return decided(Knowledge(self.name), genomes) if self.name in set(Knowledge) else ()

    @cached_property
    def choices(self) -> list[tuple[ReportedTrial, tuple[str, ...]]]:
        """Each candidate whose losses differ from those before it, in the weight alone too, with its word in every slot; in a search of the
        weights these are the words. In a search of a knowledge only the losses of that knowledge count."""
        found: dict[tuple[Genome, ...], tuple[ReportedTrial, tuple[str, ...]]] = {}
        for trial in self.trials:
            words = self._words(trial)
            if trial.recipe is None or not words:
                continue
            losses = trial.recipe.active
            if losses not in found or not found[losses][0].scored:
                found[losses] = trial, words
        return list(found.values())

    def _words(self, trial: ReportedTrial) -> tuple[str, ...]:
        if trial.recipe is None or not trial.recipe.active:
            return ()
        if self.name == WEIGHTS:
            weights = trial.recipe.weights
            return tuple(format_weight(weights.get(Knowledge(name), 0.0)) for name in self.slots)
        genome = trial.recipe.genomes[0]
        words = decisions(genome)
        return tuple(words[slot] for slot in self.slots) if genome.knowledge == self.name else ()


def top(candidates: Sequence[tuple[ReportedTrial, tuple[str, ...]]]) -> list[tuple[ReportedTrial, tuple[str, ...]]]:
    """The good ones: the best fifth of those with a score, at least three, the best first; none where there are fewer than six."""
    scored = sorted((pair for pair in candidates if pair[0].scored), key=lambda pair: (-(pair[0].score or 0.0), pair[0].number))
    return scored[: max(3, len(scored) // 5)] if len(scored) >= 6 else []
