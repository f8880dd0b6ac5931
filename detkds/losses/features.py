"""Feature knowledge (Eq. 2): global, fgbg and instance, each a pass of neck levels through attention, scale, norm and distance."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Generator, Tensor

from detkds.genome import Genome, Knowledge
from detkds.losses import regions
from detkds.losses.crops import crop
from detkds.losses.distances import FEATURE_DISTANCES
from detkds.losses.transforms import ATTENTIONS, NORMS, REDUCTION, SCALES
from detkds.losses.views import Views

BACKGROUND_SHARE = 0.5
"""Background counts half of foreground."""

CROP_SIZE = 7
RELEASED_CROP_SIZE = 14


class FeaturePass:
    """One genome's words as functions: D(T3<T2<T1<f_S, f_T>>>) of Eq. 2."""

    def __init__(self, genome: Genome, semantics: str) -> None:
        slots = genome.slots
        self.attend = ATTENTIONS[semantics][slots["attention"]]
        self.rescale = SCALES[semantics][slots["scale"]]
        self.normalise = NORMS[semantics][slots["norm"]]
        self.distance = FEATURE_DISTANCES[semantics][slots["distance"]]
        self.reduction = REDUCTION.get(slots["scale"])
        """How many times coarser the rescaled grid is; None where patches take the grid apart."""

    def __call__(self, student: Tensor, teacher: Tensor, weight: Tensor | None, generator: Generator) -> Tensor:
        """The distance of two maps (N, C, H, W) whose positions count by `weight` (N, 1, H, W), or all alike."""
        student, teacher = self.attend(student, teacher, generator)
        student, teacher, weight = self.rescale(student, teacher, weight)
        return self.distance(self.normalise(student), self.normalise(teacher), weight)


FeatureLoss = Callable[[FeaturePass, Views, Generator], Tensor]
"""(words, views in float32, generator of the step) -> scalar."""


def global_paper(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """Whole maps; mean over levels."""
    return _mean(_global(words, views, generator))


def global_released(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """Whole maps; sum over levels."""
    return _sum(_global(words, views, generator))


def fgbg_paper(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """Foreground + ½ background: features masked by the region, positions weighted by it; mean over levels."""
    if not regions.count(views.boxes):
        return nothing(views.student_levels)
    boxes = regions.gather(views.boxes, views.batch_shape)
    losses = []
    for student, teacher, stride in zip(views.student_levels, views.teacher_levels, views.strides, strict=True):
        region = regions.region(boxes, student, stride)
        inside, outside = 1 - region.background, region.background
        foreground = words(student * inside, teacher * inside, region.foreground, generator)
        background = words(student * outside, teacher * outside, region.background, generator)
        losses.append(foreground + BACKGROUND_SHARE * background)
    return _mean(losses)


def fgbg_released(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """Foreground + ½ background: features multiplied by the weights themselves, those of an image's background summing to 1; sum over
    levels."""
    if not regions.count(views.boxes):
        return nothing(views.student_levels)
    boxes = regions.gather(views.boxes, views.batch_shape)
    losses = []
    for student, teacher, stride in zip(views.student_levels, views.teacher_levels, views.strides, strict=True):
        region = regions.region(boxes, student, stride)
        outside = region.background / region.background.sum((2, 3), keepdim=True).clamp(min=1)
        foreground = words(student * region.foreground, teacher * region.foreground, None, generator)
        background = words(student * outside, teacher * outside, None, generator)
        losses.append(foreground + BACKGROUND_SHARE * background)
    return _sum(losses)


def instance_paper(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """7x7 crops of the boxes, each from the level its size maps to; the boxes are the batch axis of the transforms."""
    if not regions.count(views.boxes):
        return nothing(views.student_levels)
    boxes = regions.gather(views.boxes, views.batch_shape)
    level = regions.level_of(boxes, views.strides)
    student, teacher = (crop(side, views.strides, boxes, level, CROP_SIZE) for side in (views.student_levels, views.teacher_levels))
    return words(student, teacher, None, generator)


def instance_released(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """14x14 crops of every box from every transformed level; sum over levels."""
    if not regions.count(views.boxes):
        return nothing(views.student_levels)
    boxes = regions.gather(views.boxes, views.batch_shape)
    losses = []
    for student, teacher, stride in zip(views.student_levels, views.teacher_levels, views.strides, strict=True):
        student, teacher = words.attend(student, teacher, generator)
        if words.reduction is None:
            # A map in tiles has no place to crop from, so here the crops come first. The published code reads outside its maps instead.
            student, teacher = _crops(student, teacher, stride, boxes)
            student, teacher = map(words.normalise, words.rescale(student, teacher, None)[:2])
        else:
            student, teacher = map(words.normalise, words.rescale(student, teacher, None)[:2])
            student, teacher = _crops(student, teacher, stride * words.reduction, boxes)
        losses.append(words.distance(student, teacher, None))
    return _sum(losses)


def nothing(tensors: Iterable[Tensor]) -> Tensor:
    """0 with gradient 0, connected to the tensors, and finite whatever they hold."""
    return torch.stack([tensor[:0].sum() for tensor in tensors]).sum()


def _crops(student: Tensor, teacher: Tensor, stride: int, boxes: regions.BatchBoxes) -> tuple[Tensor, Tensor]:
    only = torch.zeros_like(boxes.image)
    return crop([student], [stride], boxes, only, RELEASED_CROP_SIZE), crop([teacher], [stride], boxes, only, RELEASED_CROP_SIZE)


def _global(words: FeaturePass, views: Views, generator: Generator) -> list[Tensor]:
    pairs = zip(views.student_levels, views.teacher_levels, strict=True)
    return [words(student, teacher, None, generator) for student, teacher in pairs]


def _mean(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).mean()


def _sum(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).sum()


FEATURE_LOSSES: dict[str, dict[Knowledge, FeatureLoss]] = {
    "paper": {Knowledge.GLOBAL: global_paper, Knowledge.FGBG: fgbg_paper, Knowledge.INSTANCE: instance_paper},
    "released": {Knowledge.GLOBAL: global_released, Knowledge.FGBG: fgbg_released, Knowledge.INSTANCE: instance_released},
}
"""Semantics to knowledge to loss."""
