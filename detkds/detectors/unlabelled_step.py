"""A step on images without labels: the losses that are taken of them, and what the student and its teachers offer to compare there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from detkds.detectors.backbone_teacher import detects
from detkds.detectors.pairing import Pairing
from detkds.detectors.student_step import Features, tapped, without_trace
from detkds.detectors.teacher_pass import TeacherLevels
from detkds.detectors.training.masks import predicts_masks
from detkds.errors import ConfigError
from detkds.genome import Knowledge, Recipe
from detkds.losses.distill import RecipeLoss
from detkds.losses.views import Views
from detkds.unlabelled import Unlabelled

OF_OBJECTS = (Knowledge.FGBG, Knowledge.INSTANCE)
"""Knowledges whose losses look at objects: labelled ones, and on images without labels what the teacher detects."""


def of_unlabelled(recipe: Recipe, use: Unlabelled) -> Recipe:
    """The losses of a recipe that are taken of images without labels too."""
    return Recipe(tuple(genome for genome in recipe.active if use.uses(genome.knowledge) and not genome.labelled), recipe.semantics)


class UnlabelledStep:
    """What a step on a batch without labels offers to the losses. The detections of the first teacher stand for the labels.

    Args:
        recipe: of the training.
        use: how images without labels are used.
        pairings: the student beside each of its teachers.
        compared: the detections of all teachers are wanted, to compare them with each other.

    Attributes:
        losses: those that are taken of images without labels.
    """

    def __init__(self, recipe: Recipe, use: Unlabelled, pairings: Sequence[Pairing], *, compared: bool) -> None:
        self.losses = RecipeLoss(of_unlabelled(recipe, use))
        self._min_score = use.min_score
        self._pairings = pairings
        first, *others = pairings
        self._boxes = [compared or bool(self._of_objects) or first.reads_heads, *(compared for _ in others)]

    @property
    def _of_objects(self) -> list[str]:
        return [str(genome.knowledge) for genome in self.losses.recipe.active if genome.knowledge in OF_OBJECTS]

    def require_objects(self) -> None:
        """
        Raises:
            ConfigError: a loss looks for objects, and the teacher finds none.
        """
        if self._of_objects and not detects(self._pairings[0].teacher):
            raise ConfigError(
                f"{', '.join(self._of_objects)} needs the teacher's detections on images without labels, and a backbone detects nothing; "
                "write data.unlabelled.knowledge: [global]."
            )

    def look(self, student: Any, inputs: Tensor, samples: Any, step: int) -> tuple[list[Views], list[TeacherLevels]]:
        """What the student and each teacher offer to compare, and the levels of each teacher.

        The student takes a training step as on labelled images, and its own losses of it are thrown away; where no loss reads its head,
        the step ends at its neck. Batch norm normalises by this batch and its running statistics do not move: they are those of the
        labelled images, on which the student is measured.
        """
        masks = predicts_masks(student)
        looks = [
            pairing.detected(step, inputs, samples, boxes=boxes, min_score=self._min_score, masks=masks)
            for pairing, boxes in zip(self._pairings, self._boxes, strict=True)
        ]
        levels, objects = [some for some, _ in looks], looks[0][1]
        with tapped(student, towers=any(pairing.reads_towers for pairing in self._pairings)) as left:
            if self._pairings[0].reads_heads:
                without_trace(student)(inputs, objects, mode="loss")
            else:
                without_trace(Features(student))(inputs)
        pairs = zip(self._pairings, levels, strict=True)
        return [pairing.views(left, some, inputs, objects, step) for pairing, some in pairs], levels
