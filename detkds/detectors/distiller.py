"""DistilledDetector: a student in training with a teacher beside it, as a model that mmengine trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from torch import Tensor, nn

from detkds.detectors.average_teacher import MovingAverage
from detkds.detectors.ensemble import members
from detkds.detectors.pairing import Pairing
from detkds.detectors.shares import Shares
from detkds.detectors.student_step import tapped, without_trace
from detkds.detectors.teacher_pass import TeacherPass
from detkds.detectors.training.parallel import Group
from detkds.detectors.unlabelled_step import UnlabelledStep
from detkds.errors import ConfigError
from detkds.genome import Knowledge, Recipe
from detkds.losses.distill import RecipeLoss
from detkds.losses.views import Views
from detkds.unlabelled import Unlabelled

Losses = dict[Knowledge, Any]
"""A scalar tensor of each knowledge."""


@MODELS.register_module()
class DistilledDetector(BaseModel):  # type: ignore[misc]
    """Eq. 1: the student's own loss plus the losses of a recipe.

    The student's backbone, neck and head run once a step, exactly as without distillation; hooks read what they made. The teacher runs
    without gradient, in evaluation mode, and only as far as the recipe needs it: not at all, to its neck, or to its box head. It is not
    a submodule: `train()`, `parameters()` and `state_dict()` do not see it, `to()` moves it, copies share it. A moving average of the
    student is the distiller's own, and copies have copies.

    Args:
        student: a detector that mmdet built.
        teacher: the same; frozen in place. None where the recipe has no active genome. Of an Ensemble each loss is the weighted mean over
            its teachers; what is looked at on trial is of the first. An AverageTeacher has the student taught by its own moving average,
            which `follow` moves.
        recipe: the losses to add.
        unlabelled: how images without labels are used, where a training has some.
        teacher_pass: shared with the distillers of the same teacher that are given the same batches; None: a pass of its own, which a
            moving average always has.
        every_word: views have what any word reads, as far as the pair offers it, and not only what the recipe does.

    Attributes:
        student: save this one; the connectors beside it only serve the training.
        step: number of losses computed so far; it seeds the random masks and is part of `state_dict()`.
        mean_of_processes: the mean of a tensor over the processes that share a batch; alone it is the tensor.

    Raises:
        ConfigError: no teacher for an active recipe, or a pair that cannot share one of its knowledges; the message says why.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None,
        recipe: Recipe,
        unlabelled: Unlabelled | None = None,
        teacher_pass: TeacherPass | None = None,
        every_word: bool = False,
    ) -> None:
        super().__init__(data_preprocessor=student.data_preprocessor)
        self.student: Any = student
        self.recipe = recipe
        self.step = 0
        self.mean_of_processes: Callable[[Tensor], Tensor] = Group().mean
        self._losses = RecipeLoss(recipe)
        self._shares = Shares.of(teacher)
        self._pairings: list[Pairing] = []
        if recipe.active:
            self._add_teachers(teacher, teacher_pass, every_word)
            self._unlabelled = UnlabelledStep(recipe, unlabelled or Unlabelled(), self._pairings, compared=self._shares.by_detections)
            if unlabelled is not None:
                self._unlabelled.require_objects()

    def _add_teachers(self, teacher: nn.Module | None, teacher_pass: TeacherPass | None, every_word: bool) -> None:
        if teacher is None:
            raise ConfigError("a recipe with losses needs a teacher, got none; name its config and checkpoint.")
        first, *others = members(teacher)
        self._pairings.append(Pairing(self.student, first, self.recipe, teacher_pass, every_word))
        for number, other in enumerate(others):
            shared = teacher_pass.of(number) if teacher_pass else None
            self._pairings.append(Pairing(self.student, other, self.recipe, shared, every_word))
        for name, module in self._pairings[0].trainable.items():
            self.add_module(name, module)
        if others:
            self.others = nn.ModuleList(nn.ModuleDict(pairing.trainable) for pairing in self._pairings[1:])

    @property
    def teacher(self) -> nn.Module | None:
        """The frozen teacher, of several the first, or None where no loss needs one."""
        return self._pairings[0].teacher if self._pairings else None

    @property
    def teachers(self) -> tuple[nn.Module, ...]:
        """All frozen teachers."""
        return tuple(pairing.teacher for pairing in self._pairings)

    @property
    def averages(self) -> list[MovingAverage]:
        """The teachers that are moving averages of the student."""
        return [pairing.held for pairing in self._pairings if isinstance(pairing.held, MovingAverage)]

    def follow(self) -> None:
        """After each step of the optimizer: the averages follow the student."""
        for average in self.averages:
            average.follow(self.student)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor", unlabelled: Mapping[str, Any] | None = None) -> Any:
        """Mode "loss": the student's losses and `loss_kd_<knowledge>` of each active genome; other modes: the student's results.

        Args:
            inputs: (N, 3, H, W) as the data preprocessor gives them.
            data_samples: mmdet's samples of the batch.
            mode: "loss", "predict" or "tensor".
            unlabelled: `inputs` and `data_samples` of a batch without labels, and the `weight` of its losses in [0, 1]: a loss of the
                recipe is weight x its value there + (1 - weight) x its value on the labelled batch.
        """
        if mode != "loss" or not self._pairings:
            return self.student(inputs, data_samples, mode=mode)
        own, distilled = self._labelled_losses(inputs, data_samples)
        if unlabelled is not None:
            beside = self._unlabelled_losses(unlabelled["inputs"], unlabelled["data_samples"])
            weight = unlabelled["weight"]
            distilled = {name: (1 - weight) * loss + weight * beside[name] if name in beside else loss for name, loss in distilled.items()}
        self.step += 1
        return {**own, **{f"loss_kd_{knowledge}": loss for knowledge, loss in distilled.items()}}

    def _labelled_losses(self, inputs: Tensor, samples: Any) -> tuple[dict[str, Any], Losses]:
        """The student's own losses, and those of the recipe."""
        with tapped(self.student, towers=self._reads_towers) as left:
            own = self.student(inputs, samples, mode="loss")
        agreement = self._shares.by_agreement
        levels = [pairing.levels(self.step, inputs, samples, agreement=agreement) for pairing in self._pairings]
        pairs = zip(self._pairings, levels, strict=True)
        views = [pairing.views(left, some, inputs, samples, self.step) for pairing, some in pairs]
        return own, self._together(self._losses, views, self._shares.labelled(levels, self.mean_of_processes))

    def _unlabelled_losses(self, inputs: Tensor, samples: Any) -> Losses:
        """Those of the recipe that are taken of images without labels too."""
        views, levels = self._unlabelled.look(self.student, inputs, samples, self.step)
        return self._together(self._unlabelled.losses, views, self._shares.unlabelled(levels, self.mean_of_processes))

    def _together(self, losses: RecipeLoss, views: Sequence[Views], shares: Sequence[Any]) -> Losses:
        """Losses with each teacher, each times the teacher's share, added up; with one teacher they are as they come."""
        taught = [losses(view, self.step) for view in views]
        if len(taught) == 1:
            return taught[0]
        return {name: sum(share * of[name] for share, of in zip(shares, taught, strict=True)) for name in taught[0]}

    @property
    def _reads_towers(self) -> bool:
        return any(pairing.reads_towers for pairing in self._pairings)

    def views(self, inputs: Tensor, data_samples: Any) -> Views:
        """What one training step on this batch offers to the losses, for the probe; see `trial_step`."""
        return self.trial_step(inputs, data_samples)[1]

    def trial_step(self, inputs: Tensor, data_samples: Any) -> tuple[dict[str, Any], Views]:
        """The student's own losses in one training step on this batch, and what the step and the first teacher offer to the distillation
        losses, with gradients to the student.

        Leaves no trace: neither batch statistics nor random draws nor the step counter move.

        Raises:
            ConfigError: the recipe has no active genome, so there is no teacher.
        """
        if not self._pairings:
            raise ConfigError("a recipe without losses offers no views; probe one with an active genome.")
        first = self._pairings[0]
        with torch.random.fork_rng(devices=[inputs.device] if inputs.is_cuda else []):
            with tapped(self.student, towers=self._reads_towers) as left:
                own = without_trace(self.student)(inputs, data_samples, mode="loss")
            levels = first.levels(None, inputs, data_samples)
            return own, first.views(left, levels, inputs, data_samples, self.step)

    def init_weights(self) -> None:
        """Nothing: the student comes with its weights, which a runner must not draw again."""

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Moves the teachers along with the student."""
        for pairing in self._pairings:
            pairing.teacher._apply(fn)
        return super()._apply(fn, recurse)

    def get_extra_state(self) -> Tensor:
        """The step counter, as a tensor since checkpoint writers expect nothing else."""
        return torch.tensor(self.step)

    def set_extra_state(self, state: Tensor) -> None:
        """Continue from a stored step."""
        self.step = int(state)
