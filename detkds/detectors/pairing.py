"""Pairing: a student beside one teacher, and what a step of both offers to compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from detkds.detectors.agreement import levels_and_agreement
from detkds.detectors.average_teacher import AverageTeacher, MovingAverage
from detkds.detectors.connectors import Connectors
from detkds.detectors.detected import looked_at
from detkds.detectors.heads import Reader, crossing, reader
from detkds.detectors.heads.dense import Grids
from detkds.detectors.normalization import TeacherView
from detkds.detectors.sharing import require_shared
from detkds.detectors.taps import Tapped, neck_shape
from detkds.detectors.teacher_pass import TeacherLevels, TeacherPass
from detkds.genome import Recipe
from detkds.losses.trained import MODULES, TrainedModules
from detkds.losses.views import Views


class Frozen:
    """A teacher that stays as it is: in evaluation mode, without gradients, and one for all copies."""

    def __init__(self, detector: Any) -> None:
        self.detector = detector.eval().requires_grad_(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Frozen:
        memo.update({id(module): module for module in self.detector.modules()})  # its parts too: readers hold some of them
        return self


class Pairing:
    """A student beside one of its teachers. Not a module, so that the teacher is neither trained nor saved along with the student.

    Args:
        student: a detector that mmdet built. Only its form is read here.
        teacher: the same, frozen in place; or an AverageTeacher, of which the student gets a moving average of its own.
        recipe: with losses. The teacher runs as far as these need it: to its neck or to its box head.
        teacher_pass: shared with the pairings of the same teacher that are given the same batches. A moving average has none.
        every_word: views have what any word reads, as far as the pair offers it, and not only what the recipe does.

    Attributes:
        held: the teacher, as what holds it: Frozen or MovingAverage.
        connectors, trained: what is trained beside the student for this teacher; None where no loss needs it.

    Raises:
        ConfigError: the pair cannot share what the recipe compares.
    """

    def __init__(self, student: Any, teacher: Any, recipe: Recipe, teacher_pass: TeacherPass | None, every_word: bool) -> None:
        require_shared(student, teacher, recipe)
        average = isinstance(teacher, AverageTeacher)
        self.held: Frozen | MovingAverage = teacher.of(student) if average else Frozen(teacher)
        self._pass = None if average else teacher_pass
        self._view = TeacherView(student.data_preprocessor, self.teacher.data_preprocessor)
        self.connectors: Connectors | None = None
        self.trained: TrainedModules | None = None
        if any(genome.knowledge.is_feature for genome in recipe.active):
            neck = neck_shape(self.teacher)
            self.connectors = Connectors(neck_shape(student), neck, self._view.scale)
            if words := tuple(MODULES) if every_word else recipe.trained_words:
                self.trained = TrainedModules(words, [neck.channels[level] for _, level in self.connectors.pairs])
        self._responses: Reader | None = reader(student, self.teacher) if recipe.needs_responses else None
        self._crossing: Grids | None = None
        if isinstance(self._responses, Grids) and (every_word or recipe.crosses) and not crossing.mismatch(student, self.teacher):
            self._crossing = self._responses

    @property
    def teacher(self) -> Any:
        """The detector that teaches."""
        return self.held.detector

    @property
    def trainable(self) -> dict[str, nn.Module]:
        """What is trained beside the student for this teacher, by name."""
        modules: dict[str, nn.Module | None] = {"connectors": self.connectors, "trained": self.trained}
        return {name: module for name, module in modules.items() if module is not None}

    @property
    def reads_heads(self) -> bool:
        """Whether a loss compares scores or boxes."""
        return self._responses is not None

    @property
    def reads_towers(self) -> bool:
        """Whether a loss reads the features of the student's head."""
        return self._crossing is not None

    def levels(self, step: int | None, inputs: Tensor, samples: Any, *, agreement: bool = False) -> TeacherLevels:
        """The teacher's neck levels of a batch with labels, with its agreement with them if that is asked.

        Args:
            step: of the training; None for a batch on which losses are only tried.
            inputs: (N, 3, H, W) as the student's preprocessor gives them.
            samples: mmdet's samples of the batch.
        """

        def look() -> Any:
            if agreement:
                return levels_and_agreement(self.teacher, self._view, inputs, samples)
            return self.teacher.extract_feat(self._view(inputs, samples))

        with torch.no_grad():
            found = look() if self._pass is None else self._pass.levels(step, inputs, look)
        return found if isinstance(found, TeacherLevels) else TeacherLevels(found)

    def detected(
        self, step: int, inputs: Tensor, samples: Any, *, boxes: bool, min_score: float, masks: bool
    ) -> tuple[TeacherLevels, list[Any]]:
        """The teacher's neck levels of a batch without labels, and its samples with the teacher's detections as labels, see `looked_at`."""

        def look() -> tuple[TeacherLevels, list[Any]]:
            return looked_at(self.teacher, self._view, inputs, samples, boxes=boxes, min_score=min_score, masks=masks)

        return look() if self._pass is None else self._pass.unlabelled(step, inputs, boxes, look)

    def views(self, tapped: Tapped, levels: Sequence[Tensor], inputs: Tensor, samples: Any, step: int) -> Views:
        """What a step of the student and the teacher's levels of the same batch offer to compare.

        Args:
            tapped: what the student's step left behind.
            levels: of the teacher.
            inputs: (N, 3, H, W) of the batch.
            samples: mmdet's samples of it, with the objects that count.
            step: of the training; seeds the random masks of trained modules.
        """
        ours, theirs = self._responses(tapped, levels, samples) if self._responses else (None, None)
        return Views(
            **self._necks(tapped, levels, step),
            boxes=tuple(get_box_tensor(sample.gt_instances.bboxes) for sample in samples),
            batch_shape=(inputs.shape[-2], inputs.shape[-1]),
            image_shapes=tuple((int(sample.img_shape[0]), int(sample.img_shape[1])) for sample in samples),
            student_response=ours,
            teacher_response=theirs,
            crossed_response=self._crossing.crossed(tapped, levels) if self._crossing else None,
        )

    def _necks(self, tapped: Tapped, levels: Sequence[Tensor], step: int) -> dict[str, Any]:
        """The matched levels of both necks, and what trained modules make of them."""
        if self.connectors is None:
            return {"student_levels": (), "teacher_levels": (), "strides": ()}
        ours, theirs = self.connectors(tapped.levels, levels)
        necks = {"student_levels": ours, "teacher_levels": theirs, "strides": self.connectors.strides}
        return necks if self.trained is None else {**necks, "generated": self.trained(ours, theirs, step)}
