"""What a report tells: plain data, filled by the stage. The report reads no file and knows no search, detector or evaluator."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from detkds.genome import Knowledge, Recipe


class Role(StrEnum):
    """What a detector is in the comparison; at most one detector each."""

    TEACHER = "teacher"
    BASELINE = "student without distillation"
    DISTILLED = "distilled student"


class Scores(Protocol):
    """What the report reads of an evaluation: figures and curves in [0, 1], nan where there is no ground truth."""

    @property
    def kind(self) -> str: ...
    @property
    def figures(self) -> Mapping[str, float]: ...
    @property
    def per_class(self) -> Mapping[str, float]: ...
    @property
    def curves(self) -> Mapping[str, tuple[float, ...]]: ...
    @property
    def images(self) -> int: ...


@dataclass(frozen=True)
class Detector:
    """One column of the headline table.

    Args:
        role: its place in the comparison.
        name: the config's name or what the user calls it.
        scores: its evaluation on the test set.
    """

    role: Role
    name: str
    scores: Scores


@dataclass(frozen=True)
class TrialPoint:
    """One candidate of a study.

    Args:
        number: place in the journal; 0 is training without distillation.
        text: the genome, or the recipe with a line a genome.
        score: search-val AP in [0, 1]; None unless complete.
        state: complete, rejected, failed or running, in any case of letters.
        reason: of a rejected or failed candidate, `kind: detail`.
        seconds: wall-clock time, None where unknown.
        partial: validation was stopped early, so the score is a bound.
    """

    number: int
    text: str
    score: float | None
    state: str
    reason: str | None = None
    seconds: float | None = None
    partial: bool = False

    @property
    def scored(self) -> bool:
        """True where the score is a finite number."""
        return self.score is not None and math.isfinite(self.score)

    @property
    def kind(self) -> str:
        """The reason's first word: nan, too-large, … or the state where no reason was given."""
        return (self.reason or self.state).partition(":")[0].strip().lower()


@dataclass(frozen=True)
class Study:
    """The search of one knowledge, or of the weights.

    Args:
        name: a knowledge, or "weights".
        trials: all candidates in the journal's order.
    """

    name: str
    trials: tuple[TrialPoint, ...]

    @property
    def last(self) -> int:
        """The highest number of a candidate; 0 without candidates."""
        return max((trial.number for trial in self.trials), default=0)

    @cached_property
    def without_distillation(self) -> float | None:
        """The score of candidate 0."""
        return next((trial.score for trial in self.trials if trial.number == 0 and trial.scored), None)

    @cached_property
    def best(self) -> TrialPoint | None:
        """The candidate with the highest score, candidate 0 left out, the earlier one of equals. A score that is a bound counts as it
        stands: the search stops a validation only below or beyond what it still cares for."""
        candidates = [trial for trial in self.trials if trial.number > 0 and trial.scored]
        return max(candidates, key=lambda trial: (trial.score, -trial.number), default=None)

    @property
    def gain(self) -> float | None:
        """The best candidate's score minus candidate 0's."""
        if self.best is None or self.best.score is None or self.without_distillation is None:
            return None
        return self.best.score - self.without_distillation

    def best_so_far(self) -> list[tuple[int, float]]:
        """(number, score) of each candidate that was better than all before it, candidate 0 left out."""
        steps: list[tuple[int, float]] = []
        for trial in self.trials:
            if trial.number > 0 and trial.score is not None and trial.scored and (not steps or trial.score > steps[-1][1]):
                steps.append((trial.number, trial.score))
        return steps

    @cached_property
    def states(self) -> Counter[str]:
        """How many candidates ended how."""
        return Counter(trial.state.lower() for trial in self.trials)


@dataclass(frozen=True)
class StageCost:
    """What one stage took: wall-clock seconds and training steps of students, None where it does not apply."""

    stage: str
    seconds: float | None
    student_steps: int | None = None


@dataclass(frozen=True)
class ReportData:
    """One run, as the report shows it. Every part but the name may be empty.

    Args:
        run: the run's name.
        detectors: evaluations on the test set.
        studies: in the order of the search.
        recipe: the losses the student was trained with; None where the run has not come so far.
        formulas: knowledge to its loss as lines of plain text, the loss itself first.
        costs: in the order of the stages.
        provenance: heading to key to value: configuration, seeds, digests, package versions, machine.
    """

    run: str
    detectors: tuple[Detector, ...] = ()
    studies: tuple[Study, ...] = ()
    recipe: Recipe | None = None
    formulas: Mapping[Knowledge, str] = field(default_factory=dict)
    costs: tuple[StageCost, ...] = ()
    provenance: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def detector(self, role: Role) -> Detector | None:
        """The detector of that role."""
        return next((detector for detector in self.detectors if detector.role == role), None)

    @property
    def ranked(self) -> tuple[Detector, ...]:
        """The detectors in the order of Role."""
        return tuple(detector for role in Role if (detector := self.detector(role)) is not None)
