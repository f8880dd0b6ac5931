"""A candidate: one recipe, tried, trained and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from detkds.detectors.calibration import reject_idle
from detkds.detectors.loss_validation import LossValidation
from detkds.detectors.probe import Probe
from detkds.detectors.proxy_task import ProxyTask
from detkds.detectors.rungs import Climb, Left
from detkds.detectors.teacher_pass import TeacherPass
from detkds.detectors.training.course import Course
from detkds.detectors.validation import Validation
from detkds.errors import Rejected
from detkds.genome import Recipe
from detkds.losses.filter import reject_on_probe
from detkds.losses.needs import missing
from detkds.objective import Goal, Outcome


class Candidate:
    """A recipe whose training is about to begin.

    Args:
        recipe, goal: what the search asks.
        task: of the search.
        probe: on which its losses are tried.
        validation: which scores its student.
        shared: the outputs of the teacher, for all candidates that see the same batches.
        loss_filter: try the losses first, and look again when the student has trained a little.

    Raises:
        Rejected: the losses cannot work.
    """

    def __init__(
        self,
        recipe: Recipe,
        goal: Goal,
        task: ProxyTask,
        probe: Probe,
        validation: Validation | LossValidation,
        shared: TeacherPass,
        *,
        loss_filter: bool,
    ) -> None:
        filtered = loss_filter and bool(recipe.active)
        if filtered:
            reject_idle(recipe)
            reject_on_probe(recipe, probe.views)
        for genome in recipe.active:  # without the filter too: what a pair lacks ends a training, and must not end a search
            if reason := missing(genome, probe.views):
                raise Rejected("unsupported", reason)
        self._training = training = task.training(recipe, shared)
        self._second_look = probe.second_look(training.distiller) if filtered else None
        # The candidate itself is not in this function: a cycle would hold its memory after it is dropped.
        self._climb = Climb(goal.rungs, task.steps, lambda: validation.score(task.with_weights(training.kept_weights())))
        self._validation, self._floor = validation, goal.floor
        self._losses: Mapping[str, float] = {}

    def course(self) -> Course:
        """Its training, step by step."""
        return self._training.course(progress=self._after_step)

    def _after_step(self, step: int, total: int, losses: Mapping[str, float]) -> None:
        self._losses = dict(losses)
        if self._second_look:
            self._second_look(step)
        self._climb(step)

    def outcome(self, fault: Exception | None) -> Outcome:
        """What was measured, after the training.

        Args:
            fault: the error by which the training ended early.

        Raises:
            Exception: the fault, unless it is that the candidate left.
            Rejected: the student cannot be scored.
        """
        if fault is not None and not isinstance(fault, Left):
            raise fault
        steps = self._training.step
        score = fault.outcome if fault else self._validation.outcome(self._training.student, steps, self._floor)
        details = {**score.details, "loss": self._losses["loss"]}
        return replace(score, student_steps=steps, rungs=self._climb.scores, details=details)
