"""DistilledDetector: a student in training with a teacher beside it, as a model that mmengine trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor
from mmengine.model import BaseModel
from torch import Tensor, nn

from detkds.detectors.average_teacher import AverageTeacher, MovingAverage, as_detector
from detkds.detectors.backbone_teacher import detects
from detkds.detectors.configs.classes import class_count
from detkds.detectors.connectors import Connectors, match_levels, shown_strides, stride_mismatch
from detkds.detectors.detected import looked_at
from detkds.detectors.ensemble import AGREEMENT, MEAN, Ensemble, confirmed, levels_and_agreement, members, needs_detections, shares
from detkds.detectors.heads import Reader, crossing, mismatch, reader
from detkds.detectors.heads.dense import Grids
from detkds.detectors.normalization import TeacherView, shown_scale
from detkds.detectors.taps import Tapped, neck_shape, tap
from detkds.detectors.teacher_pass import TeacherLevels, TeacherPass
from detkds.detectors.training.masks import predicts_masks
from detkds.detectors.training.parallel import Group
from detkds.errors import ConfigError
from detkds.genome import Knowledge, Recipe
from detkds.losses.distill import RecipeLoss
from detkds.losses.trained import MODULES, TrainedModules
from detkds.losses.views import Views
from detkds.unlabelled import Unlabelled

OF_OBJECTS = (Knowledge.FGBG, Knowledge.INSTANCE)
"""Knowledges whose losses look at objects: labelled ones, and on images without labels what the teacher detects."""


def of_unlabelled(recipe: Recipe, use: Unlabelled) -> Recipe:
    """The losses of a recipe that are taken of images without labels too."""
    return Recipe(tuple(genome for genome in recipe.active if use.uses(genome.knowledge) and not genome.labelled), recipe.semantics)


def supported(student: nn.Module, teacher: nn.Module) -> dict[Knowledge, str | None]:
    """For each knowledge, None where this pair of detectors can share it, else the reason why not. Of several teachers each must."""
    if isinstance(teacher, Ensemble):
        found = [supported(student, one) for one in teacher.teachers]
        named = [{name: reason and f"teacher {number}: {reason}" for name, reason in one.items()} for number, one in enumerate(found, 1)]
        return {name: next((one[name] for one in named if one[name]), None) for name in Knowledge}
    teacher = as_detector(teacher)
    features, responses = _features_mismatch(student, teacher), _responses_mismatch(student, teacher)
    reasons = {knowledge: features if knowledge.is_feature else responses for knowledge in Knowledge}
    if features is None:
        reasons[Knowledge.INSTANCE] = _crops_mismatch(student, teacher)
    return reasons


def _features_mismatch(student: nn.Module, teacher: nn.Module) -> str | None:
    strides = shown_strides(neck_shape(teacher), _scale(teacher))
    return stride_mismatch("neck", neck_shape(student).strides, strides)


def _crops_mismatch(student: nn.Module, teacher: nn.Module) -> str | None:
    """Objects of several sizes are compared in one tensor, each from the level of its size."""
    shape = neck_shape(teacher)
    pairs = match_levels(neck_shape(student).strides, shown_strides(shape, _scale(teacher)))
    channels = [shape.channels[level] for _, level in pairs]
    if len(set(channels)) == 1:
        return None
    return f"objects are compared across levels of equal channels, and those of the teacher have {', '.join(map(str, channels))}"


def _scale(teacher: Any) -> float:
    return shown_scale(teacher.data_preprocessor)


def _responses_mismatch(student: nn.Module, teacher: nn.Module) -> str | None:
    if not detects(teacher):
        return "the teacher is a backbone, which has neither scores nor boxes; it shares features"
    ours, theirs = class_count(student), class_count(teacher)
    if ours != theirs:
        return f"the student distinguishes {ours} classes, the teacher {theirs}"
    if _scale(teacher) != 1:
        return f"the teacher is shown images {_scale(teacher):g} times as large, and its scores and boxes are of another grid then"
    return mismatch(student, teacher)


class _Features(nn.Module):
    """A detector whose forward pass ends at its neck."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, inputs: Tensor) -> Any:
        return self.detector.extract_feat(inputs)


class _Frozen:
    """Holds a detector out of nn.Module's sight; copies share it."""

    def __init__(self, detector: Any) -> None:
        self.detector = detector.eval().requires_grad_(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Frozen:
        memo.update({id(module): module for module in self.detector.modules()})  # its parts too: readers hold some of them
        return self


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
        self._pass = teacher_pass
        self.student: Any = student
        self.recipe = recipe
        self.unlabelled = unlabelled or Unlabelled()
        self.step = 0
        self.mean_of_processes: Callable[[Tensor], Tensor] = Group().mean
        self._held: _Frozen | MovingAverage | None = None
        self._beside: list[DistilledDetector] = []  # not registered: they have the same student
        self._ensemble: tuple[tuple[float, ...], str] = ((1.0,), MEAN)
        if recipe.active:
            first, *others = members(teacher) if teacher is not None else (None,)
            self._add_teacher(first, every_word)
            if others:
                self._add_others(teacher, others, every_word)
            if unlabelled is not None:
                self._require_objects()

    def _add_teacher(self, teacher: Any, every_word: bool) -> None:
        if teacher is None:
            raise ConfigError("a recipe with losses needs a teacher, got none; name its config and checkpoint.")
        knowledges = [genome.knowledge for genome in self.recipe.active]
        reasons = supported(self.student, teacher)
        for knowledge in knowledges:
            if reason := reasons[knowledge]:
                raise ConfigError(f"this pair cannot share {knowledge} knowledge: {reason}; leave {knowledge} out or change the pair.")
        if isinstance(teacher, AverageTeacher):
            self._held, self._pass = teacher.of(self.student), None
            teacher = self._held.detector
        else:
            self._held = _Frozen(teacher)
        self._shown = TeacherView(self.student.data_preprocessor, teacher.data_preprocessor)
        self._losses = RecipeLoss(self.recipe)
        self._unlabelled_losses = RecipeLoss(of_unlabelled(self.recipe, self.unlabelled))
        if self.recipe.needs_responses and (reason := reasons[Knowledge.LOGITS]):
            raise ConfigError(f"a loss of this recipe reads scores or boxes, which this pair does not share: {reason}; leave it out.")
        if any(knowledge.is_feature for knowledge in knowledges):
            self.connectors = Connectors(neck_shape(self.student), neck_shape(teacher), _scale(teacher))
            if words := tuple(MODULES) if every_word else self.recipe.trained_words:
                self.trained = TrainedModules(words, [neck_shape(teacher).channels[level] for _, level in self.connectors.pairs])
        self._responses: Reader | None = reader(self.student, teacher) if self.recipe.needs_responses else None
        self._crosses = isinstance(self._responses, Grids) and (every_word or self.recipe.crosses)
        if (reason := crossing.mismatch(self.student, teacher)) and self.recipe.crosses:
            raise ConfigError(f"this pair cannot share cross-head predictions: {reason}; use another transform than cross.")
        self._crosses = self._crosses and reason is None

    def _add_others(self, ensemble: Any, others: Sequence[nn.Module], every_word: bool) -> None:
        """Further teachers, each with connectors and trained modules of its own."""
        for number, other in enumerate(others):
            shared = self._pass.of(number) if self._pass else None
            self._beside.append(DistilledDetector(self.student, other, self.recipe, None, shared, every_word))
        self._ensemble = (ensemble.weights, ensemble.combine)
        self.others = nn.ModuleList(nn.ModuleDict(one._trainable()) for one in self._beside)

    def _trainable(self) -> dict[str, nn.Module]:
        """What is trained beside the student for this teacher."""
        return {name: module for name, module in self.named_children() if name in ("connectors", "trained")}

    def _require_objects(self) -> None:
        """Refuse losses that look for objects in images without labels where the teacher finds none."""
        names = [str(genome.knowledge) for genome in self._unlabelled_losses.recipe.active if genome.knowledge in OF_OBJECTS]
        if names and self.teacher is not None and not detects(self.teacher):
            raise ConfigError(
                f"{', '.join(names)} needs the teacher's detections on images without labels, and a backbone detects nothing; "
                "write data.unlabelled.knowledge: [global]."
            )

    @property
    def teacher(self) -> nn.Module | None:
        """The frozen teacher, or None where no loss needs one."""
        return self._held.detector if self._held else None

    @property
    def teachers(self) -> tuple[nn.Module, ...]:
        """All frozen teachers."""
        return tuple(one.teacher for one in (self, *self._beside) if one.teacher is not None)

    @property
    def averages(self) -> list[MovingAverage]:
        """The teachers that are moving averages of the student."""
        return [one._held for one in self._sides if isinstance(one._held, MovingAverage)]

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
        if mode != "loss" or not self._held:
            return self.student(inputs, data_samples, mode=mode)
        losses, views, levels = self._observe(inputs, data_samples, self.student)
        distilled = self._together(self._losses, views, self._shares(levels))
        if unlabelled is not None:
            views, levels = self._observe_unlabelled(unlabelled["inputs"], unlabelled["data_samples"])
            beside = self._together(self._unlabelled_losses, views, self._unlabelled_shares(levels))
            share = unlabelled["weight"]
            distilled = {name: (1 - share) * loss + share * beside[name] if name in beside else loss for name, loss in distilled.items()}
        self.step += 1
        return {**losses, **{f"loss_kd_{knowledge}": loss for knowledge, loss in distilled.items()}}

    def _together(self, losses: RecipeLoss, views: Sequence[Views], shares: Sequence[Any]) -> dict[Knowledge, Any]:
        """Losses with each teacher, each times the teacher's share, added up; with one teacher they are as they come."""
        taught = [losses(view, self.step) for view in views]
        if len(taught) == 1:
            return taught[0]
        return {name: sum(share * of[name] for share, of in zip(shares, taught, strict=True)) for name in taught[0]}

    def views(self, inputs: Tensor, data_samples: Any) -> Views:
        """What one training step on this batch offers to the losses, for the probe; see `trial_step`."""
        return self.trial_step(inputs, data_samples)[1]

    def trial_step(self, inputs: Tensor, data_samples: Any) -> tuple[dict[str, Any], Views]:
        """The student's own losses in one training step on this batch, and what the step offers to the distillation losses, with gradients
        to the student.

        Leaves no trace: neither batch statistics nor random draws nor the step counter move.

        Raises:
            ConfigError: the recipe has no active genome, so there is no teacher.
        """
        if not self._held:
            raise ConfigError("a recipe without losses offers no views; probe one with an active genome.")
        buffers = self._copied_buffers()

        def student(*args: Any, **kwargs: Any) -> Any:
            return torch.func.functional_call(self.student, buffers, args, kwargs)

        devices = [inputs.device] if inputs.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            losses, views, _ = self._observe(inputs, data_samples, student, trial=True)
            return losses, views[0]

    def _observe(
        self, inputs: Tensor, data_samples: Any, student: Any, *, trial: bool = False
    ) -> tuple[dict[str, Any], list[Views], list[TeacherLevels]]:
        """The student's own losses, what its step and each teacher's offer to compare, and the levels of each teacher.

        On trial, only those of the first teacher.
        """
        with self._tapped() as tapped:
            losses = student(inputs, data_samples, mode="loss")
        sides = [self] if trial else self._sides
        for side in sides:
            side.step = self.step
        levels = [side._levels(None if trial else self.step, inputs, data_samples, self._agrees and not trial) for side in sides]
        views = [side._views(tapped, some, inputs, data_samples) for side, some in zip(sides, levels, strict=True)]
        return losses, views, levels

    @property
    def _sides(self) -> list[DistilledDetector]:
        """The student beside each of its teachers."""
        return [self, *self._beside]

    @property
    def _agrees(self) -> bool:
        return self._ensemble[1] == AGREEMENT

    def _levels(self, step: int | None, inputs: Tensor, data_samples: Any, agreement: bool) -> TeacherLevels:
        """The teacher's neck levels of a batch, with its agreement with the labels if that is asked."""
        assert self._held
        teacher = self._held.detector

        def look() -> Any:
            if agreement:
                return levels_and_agreement(teacher, self._shown, inputs, data_samples)
            return teacher.extract_feat(self._shown(inputs, data_samples))

        with torch.no_grad():
            found = look() if self._pass is None else self._pass.levels(step, inputs, look)
        return found if isinstance(found, TeacherLevels) else TeacherLevels(found)

    def _shares(self, levels: Sequence[TeacherLevels]) -> Sequence[Any]:
        """What each teacher's losses count in this step; they sum to 1."""
        weights, combine = self._ensemble
        return self.mean_of_processes(shares(levels)).unbind() if combine == AGREEMENT else weights

    def _unlabelled_shares(self, levels: Sequence[TeacherLevels]) -> Sequence[Any]:
        """The same on images without labels; with `agreement` they go by how the teachers confirm each other."""
        weights, combine = self._ensemble
        if not needs_detections(len(weights), combine):
            return weights
        return self.mean_of_processes(confirmed([one.found for one in levels if one.found is not None])).unbind()

    def _observe_unlabelled(self, inputs: Tensor, data_samples: Any) -> tuple[list[Views], list[TeacherLevels]]:
        """What the student and each teacher offer to compare on a batch without labels, and the levels of each teacher. The detections of
        the first stand for the labels.

        The student takes a training step as on labelled images, and its own losses of it are thrown away; where no loss reads its head,
        the step ends at its neck. Batch norm normalises by this batch and its running statistics do not move: they are those of the
        labelled images, on which the student is measured.
        """
        regions = any(genome.knowledge in OF_OBJECTS for genome in self._unlabelled_losses.recipe.active)
        compared = needs_detections(len(self._sides), self._ensemble[1])
        boxes = [compared or regions or self._responses is not None, *(compared for _ in self._beside)]
        looks = [self._look_at_unlabelled(side, inputs, data_samples, some) for side, some in zip(self._sides, boxes, strict=True)]
        levels, samples = [some for some, _ in looks], looks[0][1]
        buffers = self._copied_buffers()
        with self._tapped() as tapped:
            if self._responses is None:
                named = {f"detector.{name}": buffer for name, buffer in buffers.items()}
                torch.func.functional_call(_Features(self.student), named, (inputs,))
            else:
                torch.func.functional_call(self.student, buffers, (inputs, samples), {"mode": "loss"})
        return [side._views(tapped, some, inputs, samples) for side, some in zip(self._sides, levels, strict=True)], levels

    def _look_at_unlabelled(self, side: DistilledDetector, inputs: Tensor, data_samples: Any, boxes: bool) -> tuple[TeacherLevels, Any]:
        """What the teacher of a side says of a batch without labels, see `looked_at`."""
        assert side._held
        teacher, view, score, masks = side._held.detector, side._shown, self.unlabelled.min_score, predicts_masks(self.student)

        def look() -> tuple[TeacherLevels, list[Any]]:
            return looked_at(teacher, view, inputs, data_samples, boxes=boxes, min_score=score, masks=masks)

        return side._pass.unlabelled(self.step, inputs, boxes, look) if side._pass else look()

    @contextmanager
    def _tapped(self) -> Iterator[Tapped]:
        """What the student's step leaves behind, the features of its head among them where a loss reads them."""
        with tap(self.student) as tapped, ExitStack() as stack:
            if any(side._crosses for side in (self, *self._beside)):
                tapped.towers = stack.enter_context(crossing.towers(self.student.bbox_head))
            yield tapped

    def _copied_buffers(self) -> dict[str, Tensor]:
        """Copies of the student's buffers, for a step that leaves no trace in its batch statistics."""
        return {name: buffer.clone() for name, buffer in self.student.named_buffers()}

    def _views(self, tapped: Tapped, levels: Sequence[Tensor], inputs: Tensor, data_samples: Any) -> Views:
        """What a step of the student's and the teacher's levels offer to compare."""
        features: dict[str, Any] = {"student_levels": (), "teacher_levels": (), "strides": ()}
        if hasattr(self, "connectors"):
            necks = self.connectors(tapped.levels, levels)
            features = {"student_levels": necks[0], "teacher_levels": necks[1], "strides": self.connectors.strides}
            if hasattr(self, "trained"):
                features["generated"] = self.trained(*necks, self.step)
        ours = theirs = None
        if self._responses is not None:
            ours, theirs = self._responses(tapped, levels, data_samples)
        crossed = self._responses.crossed(tapped, levels) if self._crosses and isinstance(self._responses, Grids) else None
        boxes = tuple(get_box_tensor(sample.gt_instances.bboxes) for sample in data_samples)
        shape = (inputs.shape[-2], inputs.shape[-1])
        images = tuple((int(sample.img_shape[0]), int(sample.img_shape[1])) for sample in data_samples)
        return Views(
            **features, boxes=boxes, batch_shape=shape, image_shapes=images,
            student_response=ours, teacher_response=theirs, crossed_response=crossed,
        )  # fmt: skip

    def init_weights(self) -> None:
        """Nothing: the student comes with its weights, which a runner must not draw again."""

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Moves the teacher along with the student."""
        if self._held:
            self._held.detector._apply(fn)
        for one in self._beside:
            if one._held:
                one._held.detector._apply(fn)
        return super()._apply(fn, recurse)

    def get_extra_state(self) -> Tensor:
        """The step counter, as a tensor since checkpoint writers expect nothing else."""
        return torch.tensor(self.step)

    def set_extra_state(self, state: Tensor) -> None:
        """Continue from a stored step."""
        self.step = int(state)
