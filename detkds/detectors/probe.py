"""Losses on trial: what they do to a student before a candidate is trained with them, and once more while it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any

from torch import Tensor, nn

from detkds.detectors.average_teacher import AverageTeacher
from detkds.detectors.calibration import look_step, reject_exploded
from detkds.detectors.diagnosis import Diagnosis, diagnose
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.proxy_task import ProxyTask
from detkds.detectors.sharing import supported
from detkds.detectors.training.loop import Training
from detkds.detectors.training.randomness import Purpose, derived_seed, preserved, seed_all
from detkds.detectors.training.runtime import announced, runtime
from detkds.detectors.training.sizes import ITERATION
from detkds.errors import ConfigError, DatasetError
from detkds.genome import SLOTS, Genome, Knowledge, Recipe
from detkds.losses.views import Views

TRIED = 4
"""Batches on which losses are looked at, at most."""


class Probe:
    """The first batches of search-train with boxes, and what losses do to the student on them.

    Args:
        task: of the search.
        note: called with what a person should know, a line each.

    Attributes:
        supported: for each knowledge, None where the pair can share it, else why not.
    """

    def __init__(self, task: ProxyTask, note: Callable[[str], None]) -> None:
        self._task, self._note = task, note
        self.supported = supported(task.student, task.teacher)
        self._grown: dict[int, nn.Module] = {0: task.student}

    @cached_property
    def views(self) -> Views:
        """What the first batch offers to every loss that the pair supports; without gradients, to keep nothing else.

        Raises:
            DatasetError: search-train holds no box.
        """
        task = self._task
        recipe = Recipe(tuple(_some_loss(knowledge) for knowledge, reason in self.supported.items() if reason is None))
        distiller: Any = DistilledDetector(copy.deepcopy(task.student), self._teacher, recipe, every_word=True).to(task.device)
        (batch,) = _required(islice(self._batches(1), 1))
        with preserved(), announced(runtime(task.config, 0, task.steps)):
            seed_all(derived_seed(task.settings.seed, Purpose.STEP, 0))
            return _detached(distiller.views(**distiller.data_preprocessor(batch, True)))

    def diagnose(self, recipe: Recipe, *, after: int = 0) -> Diagnosis:
        """What the recipe's losses do to the student in the first batches with boxes.

        Args:
            recipe: with losses.
            after: epochs that the student has trained without distillation before; 0: its first weights.

        Raises:
            ConfigError: the pair does not offer what the losses read, or the teacher is the student's own moving average.
            DatasetError: search-train holds no box.
        """
        if isinstance(self._task.teacher, AverageTeacher):
            raise ConfigError(
                "the teacher is the student's moving average, which is the student itself before a training; there is no loss."
            )
        distiller = DistilledDetector(copy.deepcopy(self._student(after)), self._task.teacher, recipe).to(self._task.device)
        return Diagnosis.mean([self._look(distiller, batch) for batch in self._tried])

    def look(self, distiller: DistilledDetector, step: int = 0) -> Diagnosis:
        """What the losses do to the student on the first of these batches, after so many steps of its training."""
        return self._look(distiller, self._tried[0], step)

    def second_look(self, distiller: DistilledDetector) -> Callable[[int], None]:
        """Of the loss filter, to be called after each step of a training that is about to begin.

        Raises, where it is called:
            Rejected: exploding, see `calibration.reject_exploded`.
        """
        due, first = look_step(self._task.steps), self.look(distiller)

        def again(step: int) -> None:
            if step == due:
                reject_exploded(distiller.recipe, first, self.look(distiller, step), step)

        return again

    def _look(self, distiller: Any, batch: Mapping[str, Any], step: int = 0) -> Diagnosis:
        """The same draws each time, and no trace."""
        task = self._task
        moment = {**runtime(task.config, step, task.steps), ITERATION: 0}
        with preserved(), announced(moment):
            seed_all(derived_seed(task.settings.seed, Purpose.STEP, 0))
            return diagnose(distiller.train(), distiller.data_preprocessor(batch, True))

    @cached_property
    def _tried(self) -> list[Any]:
        """The first batches with boxes, as they are loaded."""
        return _required(islice(self._batches(TRIED), TRIED))

    def _batches(self, epochs: int) -> Iterator[Any]:
        """The batches with boxes of a training's first epochs."""
        self._task.samples.reset()
        for batch in self._task.samples.training_batches(self._task.settings.batch_size, epochs):
            if any(len(sample.gt_instances) for sample in batch["data_samples"]):
                yield batch

    @property
    def _teacher(self) -> nn.Module:
        """The teacher beside which losses are tried. A moving average is the student itself before a training, and every loss would be 0:
        a student that was trained without distillation stands for it."""
        if not isinstance(self._task.teacher, AverageTeacher):
            return self._task.teacher
        self._note("trains a student without distillation first, beside which losses are tried; a moving average begins as its student")
        return copy.deepcopy(self._student(self._task.settings.epochs))

    def _student(self, epochs: int) -> nn.Module:
        """The student after so many epochs without distillation."""
        if epochs not in self._grown:
            task = self._task
            distiller = DistilledDetector(copy.deepcopy(task.student), None, Recipe())
            Training(distiller, task.config, task.samples, replace(task.settings, epochs=epochs)).run()
            self._grown[epochs] = distiller.student
        return self._grown[epochs]


def _required(batches: Iterator[Any]) -> list[Any]:
    found = list(batches)
    if not found:
        raise DatasetError("search-train must hold an image with a box that the losses can be tried on, but holds none.")
    return found


def _some_loss(knowledge: Knowledge) -> Genome:
    """A loss that has a knowledge's views made."""
    slots = SLOTS[knowledge]
    return Genome(knowledge, tuple("none" for slot in slots if slot != "distance"), slots["distance"][0])


def _detached(views: Views) -> Views:
    response, crossed = views.student_response, views.crossed_response
    return replace(
        views,
        student_levels=tuple(level.detach() for level in views.student_levels),
        student_response=response and response.apply(Tensor.detach),
        crossed_response=crossed and crossed.apply(Tensor.detach),
        generated=views.changed(Tensor.detach),
    )
