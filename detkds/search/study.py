"""Study: the one loop. Ask, answer from what is known or measure, record, tell. To resume is to replay the journal."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from detkds.errors import ArtifactError, DetKDSError, Rejected
from detkds.genome import Recipe
from detkds.objective import SCORES, Goal, Job, Objective, Outcome
from detkds.search.designer import Designer
from detkds.search.history import History
from detkds.search.journal import Journal
from detkds.search.trial import ESTIMATE, Trial, TrialState, best_of


@dataclass(frozen=True)
class Counts:
    """What a study cost.

    Args:
        candidates: trials, candidate 0 included.
        trained: those that were trained here and have a score.
        answered: those that an earlier trial answered.
        rejected: the others, by kind of reason.
        student_steps: optimiser steps of all.
        left: those that left their training at a rung.
    """

    candidates: int
    trained: int
    answered: int
    rejected: Mapping[str, int]
    student_steps: int
    left: int = 0


@dataclass(frozen=True)
class Study:
    """The trials of one search, whether it just ran, still runs, or is read back from its journal.

    Args:
        trials: the finished ones by number; candidate 0, the training without distillation, is the first.
        name: the knowledge, or "weights"; empty where it does not matter.
        seconds: wall-clock time of trials by their number, as far as it was recorded; answered trials took none.
        reason: why this knowledge was left out; empty where it was searched.
        scored_by: what scores are, a key of `objective.SCORES`.
    """

    trials: tuple[Trial, ...] = ()
    name: str = ""
    seconds: Mapping[int, float] = field(default_factory=dict, compare=False)
    reason: str = ""
    scored_by: str = "ap"

    @property
    def best(self) -> Trial | None:
        """The COMPLETE trial with the highest score, candidate 0 included, the earlier one of equals; None where none is COMPLETE.

        A score that is only a bound below the floor never wins: the floor is the score of some other trial.
        """
        return best_of(self.trials)

    @property
    def best_distilled(self) -> Trial | None:
        """As `best`, but only among the trials that train with a loss, so candidate 0 does not count."""
        return best_of(trial for trial in self.trials if trial.recipe.active)

    @property
    def baseline(self) -> float | None:
        """The score of candidate 0, no distillation; None where it has none."""
        return self.trials[0].score if self.trials else None

    @property
    def counts(self) -> Counts:
        """What the study cost."""
        own = [trial for trial in self.trials if trial.answered_by is None]
        return Counts(
            candidates=len(self.trials),
            trained=sum(trial.state is TrialState.COMPLETE for trial in own),
            answered=len(self.trials) - len(own),
            rejected=dict(sorted(Counter(kind_of(trial) for trial in own if trial.state is TrialState.REJECTED).items())),
            student_steps=sum(trial.student_steps for trial in self.trials),
            left=sum(trial.state is TrialState.LEFT for trial in own),
        )

    @property
    def rejected(self) -> dict[str, int]:
        """All rejected trials, answered ones included, by kind of reason, the most frequent first."""
        return dict(Counter(kind_of(trial) for trial in self.trials if trial.state is TrialState.REJECTED).most_common())

    @property
    def left(self) -> dict[str, int]:
        """Trials that left their training, answered ones included, by kind of reason, such as `left at 1/4`, the most frequent first."""
        return dict(Counter(kind_of(trial) for trial in self.trials if trial.state is TrialState.LEFT).most_common())

    @property
    def total_seconds(self) -> float:
        """What the trials took together, as far as it was recorded."""
        return sum(self.seconds.get(trial.number, 0.0) for trial in self.trials)

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per trial, the best first, trials without a score last: what `trials_table` shows."""
        ranked = sorted(self.trials, key=lambda trial: (trial.score is None, -(trial.score or 0.0), trial.number))
        return [self._row(trial) for trial in ranked]

    def trials_table(self) -> Any:
        """The trials as a pandas DataFrame, the best first; where pandas is not installed, the list of dictionaries of `rows`."""
        try:
            import pandas
        except ModuleNotFoundError:
            return self.rows()
        return pandas.DataFrame(self.rows())

    def _row(self, trial: Trial) -> dict[str, Any]:
        return {
            "number": trial.number,
            "candidate": str(trial.recipe),
            "score": trial.score,
            "state": str(trial.state),
            "reason": trial.reason,
            "partial": trial.partial,
            "student_steps": trial.student_steps,
            "seconds": self.seconds.get(trial.number),
            **{f"{SCORES[self.scored_by]} at {share}": score for share, score in trial.rungs.items()},
            **trial.details,
        }


def kind_of(trial: Trial) -> str:
    """The first word of why a trial has no score: nan, too-large, out-of-memory, …"""
    return (trial.reason or "").partition(":")[0]


def run(
    designer: Designer,
    objective: Objective,
    journal: Journal,
    *,
    identify: Callable[[Recipe], str],
    progress: Callable[[Trial], None] = lambda trial: None,
    known: Mapping[str, Trial] | None = None,
    ahead: Callable[[Sequence[Job]], None] | None = None,
) -> Study:
    """Run a study to its end, from wherever its journal stands.

    Args:
        designer: decides what comes next; a fresh one, also when resuming, built from the same settings.
        objective: measures a candidate.
        journal: open; its settings define the study.
        identify: trial_id of a recipe; no id is trained twice.
        progress: called with each trial when it starts (RUNNING) and when it ends, replayed ones included at their end.
        known: finished trials of other studies by trial_id (`History.finished`), which answer too unless partial.
            Give the same when resuming.
        ahead: called with what the objective will be asked next, in this order, before it is; it may begin on all of it at once.

    Returns:
        All trials; the same, and the same journal byte by byte, however often the process was killed on the way, and however many are
        measured at once: answers are recorded in the order asked.

    Raises:
        ArtifactError: the journal holds other candidates than the designer requests, or cannot be written.
        Exception: whatever the objective raises other than Rejected; the journal stays good, and the trial is tried again when resumed.
    """
    study = _Study(objective, journal, identify, progress, known or {}, ahead)
    asked = designer.ask()
    without = (Recipe(semantics=asked[0].semantics) if asked else Recipe(), Goal())  # candidate 0: no distillation
    trials = study.answers([without, *((recipe, designer.goal()) for recipe in asked)])[1:]
    while asked:
        designer.tell(trials)
        asked = designer.ask()
        trials = study.answers([(recipe, designer.goal()) for recipe in asked])
    return study.result()


class _Study:
    """The trials so far, and where each answer comes from."""

    def __init__(
        self,
        objective: Objective,
        journal: Journal,
        identify: Callable[[Recipe], str],
        progress: Callable[[Trial], None],
        known: Mapping[str, Trial],
        ahead: Callable[[Sequence[Job]], None] | None,
    ) -> None:
        self._ahead = ahead
        self._objective, self._journal, self._identify, self._progress = objective, journal, identify, progress
        self._history = History.of(journal)
        self._trials: list[Trial] = []
        self._ids: dict[int, str] = {}
        self._answers = {
            trial_id: replace(trial, answered_by=trial.number, borrowed=True)
            for trial_id, trial in known.items()
            if trial.state in (TrialState.COMPLETE, TrialState.REJECTED) and not trial.partial  # a bound of another study's goal
        }

    def result(self) -> Study:
        left = len(self._history.started) - len(self._trials)
        if left > 0:
            path = self._journal.path
            raise ArtifactError(
                f"the journal {path} holds {left} more trials than this search requests: another search wrote it; use another folder."
            )
        return Study(tuple(self._trials), seconds=self._journal.timings())

    def answers(self, jobs: Sequence[Job]) -> list[Trial]:
        """The next trials."""
        if self._ahead is not None and (left := self._open(jobs)):
            self._ahead(left)
        return [self._answer(recipe, goal) for recipe, goal in jobs]

    def _open(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of the next jobs that neither the journal nor another trial will answer."""
        seen = set(self._answers)
        left = []
        for number, (recipe, goal) in enumerate(jobs, len(self._trials)):
            trial_id = self._id(number, recipe)
            if number not in self._history.trials and trial_id not in seen:
                left.append((recipe, goal))
            seen.add(trial_id)
        return left

    def _answer(self, recipe: Recipe, goal: Goal) -> Trial:
        """The next trial: from the journal, from an earlier trial with the same id, or measured."""
        number = len(self._trials)
        trial_id = self._start(number, recipe)
        trial = self._history.trials.get(number)
        if trial is None:
            trial = self._recall(number, recipe, trial_id) or self._measure(number, recipe, goal)
            self._journal.append("end", trial.to_json())
        self._trials.append(trial)
        self._answers.setdefault(trial_id, replace(trial, answered_by=trial.number))
        self._progress(trial)
        return trial

    def _start(self, number: int, recipe: Recipe) -> str:
        """The trial's id; a start that is not in the journal yet is recorded."""
        trial_id = self._id(number, recipe)
        if number not in self._history.started:
            self._journal.append("start", {"number": number, "id": trial_id, "recipe": recipe.to_json()})
        return trial_id

    def _id(self, number: int, recipe: Recipe) -> str:
        """The trial's id, from the journal where it exists."""
        started = self._history.started.get(number)
        if started is None:
            if number not in self._ids:
                self._ids[number] = self._identify(recipe)
            return self._ids[number]
        if started.recipe != recipe:
            raise ArtifactError(
                f"the journal {self._journal.path} holds `{started.recipe}` as trial {number}, but this search requests `{recipe}`: "
                "another version or other settings wrote it; use another folder."
            )
        return started.trial_id

    def _recall(self, number: int, recipe: Recipe, trial_id: str) -> Trial | None:
        answer = self._answers.get(trial_id)
        return answer and replace(answer, number=number, recipe=recipe, student_steps=0)

    def _measure(self, number: int, recipe: Recipe, goal: Goal) -> Trial:
        trial = Trial(number, recipe, TrialState.RUNNING)
        self._progress(trial)
        began = time.monotonic()
        share: float | None = None
        try:
            measured = self._objective(recipe, goal)
            share = measured.seconds
            trial = _complete(trial, measured, goal)
        except Rejected as rejected:
            trial = replace(trial, state=TrialState.REJECTED, reason=str(rejected), student_steps=rejected.student_steps)
        except Exception as error:  # whoever follows the study learns which trial it was; the error itself is raised
            self._progress(replace(trial, state=TrialState.FAILED, reason=f"{type(error).__name__}: {error}"))
            raise
        self._journal.note_time(number, time.monotonic() - began if share is None else share)
        return trial


def _complete(trial: Trial, outcome: Outcome, goal: Goal) -> Trial:
    """The trial with what was measured.

    Raises:
        Rejected: the score is not finite.
        DetKDSError: validation stopped early with a score, or a training at a rung, that the goal does not allow.
    """
    score = float(outcome.score)
    if not math.isfinite(score):
        raise Rejected("nan" if math.isnan(score) else "infinite", "the score is not finite")
    if outcome.partial and not goal.allows(score):
        raise DetKDSError(f"trial {trial.number} stopped validation at {score}, neither below the floor nor beyond the ceiling: {goal}.")
    details = {name: float(value) for name, value in outcome.details.items() if math.isfinite(value)}
    trial = replace(trial, student_steps=int(outcome.student_steps), rungs=dict(outcome.rungs), details=details)
    if not outcome.left:
        return replace(trial, state=TrialState.COMPLETE, score=score, partial=bool(outcome.partial))
    there = outcome.rungs.get(outcome.left)
    if there is None or not any(str(rung.share) == outcome.left and rung.behind(there) for rung in goal.rungs):
        raise DetKDSError(
            f"trial {trial.number} left at {outcome.left} with the scores {outcome.rungs}, which its goal does not allow: {goal}."
        )
    reason = f"left at {outcome.left}: {100 * there:.1f} there, {100 * score:.1f} expected at the end"
    return replace(trial, state=TrialState.LEFT, reason=reason, details={**details, ESTIMATE: score})
