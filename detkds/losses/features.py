"""Feature knowledge (Eq. 2): global, fgbg and instance, each a pass of neck levels through attention, scale, norm and distance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from detkds.genome import Genome, Knowledge
from detkds.genome.words import Role
from detkds.losses import published, regions
from detkds.losses.crops import crop
from detkds.losses.needs import head_levels
from detkds.losses.transforms.attention import no_attention
from detkds.losses.transforms.scale import REDUCTION
from detkds.losses.transforms.sound import normalised
from detkds.losses.views import Views

CROP_SIZE = 7


class Level(NamedTuple):
    """A neck level as a genome compares it."""

    student: Tensor  # (N, C, H, W)
    teacher: Tensor  # (N, C, H, W)
    score: Tensor | None  # (N, 1, H, W) what each position counts, or None for 1 everywhere
    stride: int


class FeaturePass:
    """One genome's words as functions: D(T3<T2<T1<f_S, f_T>>>) of Eq. 2."""

    def __init__(self, genome: Genome, semantics: str) -> None:
        attention, scale, norm, distance = map(genome.word, genome.slots)
        self.name, self.role, self.background = attention.name, attention.role, genome.background
        self.acts = attention.function(semantics) if attention.role not in (Role.SCORES, Role.GENERATED) else None
        """What the attention does in its role."""
        self.attend = self.acts if self.role is Role.VALUES and self.acts else no_attention
        self.rescale, self.normalise, self.distance = (word.function(semantics) for word in (scale, norm, distance))
        self.reduction = REDUCTION.get(scale.name)
        """How many times coarser the rescaled grid is; None where patches take the grid apart, or a plugin does not say."""

    def levels(self, views: Views) -> Iterator[Level]:
        """The levels after what the attention does to whole levels."""
        ours, theirs = views.generated[self.name] if self.role is Role.GENERATED else (views.student_levels, views.teacher_levels)
        heads = head_levels(views) if self.role is Role.SCORES else None
        for index, (student, teacher, stride) in enumerate(zip(ours, theirs, views.strides, strict=True)):
            score = None
            if heads is not None:
                assert views.teacher_response is not None
                score = views.teacher_response.scores[heads[index]].amax(1, keepdim=True)
            if self.role is Role.LEVELS and self.acts:
                student, teacher = self.acts(student, teacher)
            yield Level(student, teacher, score, stride)

    def regions(self, boxes: regions.BatchBoxes, level: Level) -> regions.Region:
        """Foreground and background, as the attention weighs them."""
        weigh = self.acts if self.role is Role.REGION and self.acts else regions.by_area
        return regions.apart(weigh(boxes, level.student, level.stride))

    def __call__(self, student: Tensor, teacher: Tensor, weight: Tensor | None, generator: Generator) -> Tensor:
        """The distance of two maps (N, C, H, W) whose positions count by `weight` (N, 1, H, W), or all alike."""
        student, teacher = self.attend(student, teacher, generator)
        student, teacher, weight = self.rescale(student, teacher, weight)
        loss: Tensor = self.distance(*normalised(self.normalise, student, teacher), weight)
        return loss


FeatureLoss = Callable[[FeaturePass, Views, Generator], Tensor]
"""(words, views in float32, generator of the step) -> scalar."""


def global_paper(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """Whole maps; mean over levels."""
    return _mean(_global(words, views, generator))


def global_released(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """Whole maps; sum over levels."""
    return _sum(_global(words, views, generator))


def fgbg_paper(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """Foreground + share x background: features masked by the region, positions weighted by it; mean over levels."""
    if not regions.count(views.boxes):
        return nothing(views.student_levels)
    boxes = regions.gather(views.boxes, views.batch_shape)
    losses = []
    for level in words.levels(views):
        region = words.regions(boxes, level)
        parts = [
            words(level.student * part, level.teacher * part, _times(weight, level.score), generator)
            for part, weight in ((1 - region.background, region.foreground), (region.background, region.background))
        ]
        losses.append(parts[0] + words.background * parts[1])
    return _mean(losses)


def fgbg_released(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """Foreground + share x background: features multiplied by the weights themselves, those of an image's background summing to 1, boxes as
    in `published`; sum over levels."""
    if not regions.count(views.boxes):
        return nothing(views.student_levels)
    boxes = regions.gather(views.boxes, views.batch_shape)
    losses = []
    for level in words.levels(views):
        plain = words.role is not Role.REGION
        of_level = published.CellBoxes(boxes, level.student, views)
        region = regions.apart(published.by_area(of_level, level.student)) if plain else words.regions(boxes, level)
        outside = region.background / region.background.sum((2, 3), keepdim=True).clamp(min=1)
        parts = [words(level.student * part, level.teacher * part, level.score, generator) for part in (region.foreground, outside)]
        losses.append(parts[0] + words.background * parts[1])
    return _sum(losses)


def instance_paper(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """7x7 crops of the boxes, each from the level its size maps to; the boxes are the batch axis of the transforms."""
    boxes, counts = _instances(words, views)
    if boxes is None:
        return nothing(views.student_levels)
    of_level = regions.level_of(boxes, views.strides)
    students, teachers, scores, strides = zip(*words.levels(views), strict=True)
    student, teacher = (crop(side, strides, boxes, of_level, CROP_SIZE) for side in (students, teachers))
    weight = None if scores[0] is None else crop(scores, strides, boxes, of_level, CROP_SIZE)
    return words(student, teacher, _counted(student, weight, counts), generator)


def instance_released(words: FeaturePass, views: Views, generator: Generator) -> Tensor:
    """14x14 crops of every box from every transformed level, boxes as in `published`; sum over levels.

    As in the published code a pooled map is cropped where the box lies on the map before pooling, mostly outside of the pooled one.
    """
    boxes, counts = _instances(words, views)
    if boxes is None:
        return nothing(views.student_levels)
    losses = []
    for level in words.levels(views):
        cells = published.CellBoxes(boxes, level.student, views)
        weight = None if level.score is None else published.crop(level.score, cells)
        student, teacher = words.attend(level.student, level.teacher, generator)
        if words.reduction is None:
            # A map in tiles has a channel for each cell, which no memory holds 14 x 14 times a box, so here the crops come first.
            student, teacher = (published.crop(side, cells) for side in (student, teacher))
            weight = _counted(student, weight, counts)
            student, teacher, weight = words.rescale(student, teacher, weight)
            student, teacher = map(words.normalise, (student, teacher))
        else:
            student, teacher = map(words.normalise, words.rescale(student, teacher, None)[:2])
            student, teacher = (published.crop(side, cells) for side in (student, teacher))
            weight = _counted(student, weight, counts)
        losses.append(words.distance(student, teacher, weight))
    return _sum(losses)


def nothing(tensors: Iterable[Tensor]) -> Tensor:
    """0 with gradient 0, connected to the tensors, and finite whatever they hold."""
    return torch.stack([tensor[:0].sum() for tensor in tensors]).sum()


def _instances(words: FeaturePass, views: Views) -> tuple[regions.BatchBoxes | None, Tensor | None]:
    """The boxes of the batch, None where there is none, and which of them count (B,), or None for all."""
    if words.role is Role.INSTANCES and words.acts:
        found: tuple[regions.BatchBoxes | None, Tensor | None] = words.acts(views)
        return found
    return (regions.gather(views.boxes, views.batch_shape), None) if regions.count(views.boxes) else (None, None)


def _counted(crops: Tensor, weight: Tensor | None, counts: Tensor | None) -> Tensor | None:
    """The weight (B, 1, h, w) of crops (B, C, h, w), 0 for boxes that do not count."""
    if counts is None:
        return weight
    return _times(counts[:, None, None, None].expand(-1, 1, *crops.shape[2:]), weight)


def _times(weight: Tensor, score: Tensor | None) -> Tensor:
    return weight if score is None else weight * score


def _global(words: FeaturePass, views: Views, generator: Generator) -> list[Tensor]:
    return [words(level.student, level.teacher, level.score, generator) for level in words.levels(views)]


def _mean(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).mean()


def _sum(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).sum()


FEATURE_LOSSES: dict[str, dict[Knowledge, FeatureLoss]] = {
    "paper": {Knowledge.GLOBAL: global_paper, Knowledge.FGBG: fgbg_paper, Knowledge.INSTANCE: instance_paper},
    "released": {Knowledge.GLOBAL: global_released, Knowledge.FGBG: fgbg_released, Knowledge.INSTANCE: instance_released},
    "sound": {Knowledge.GLOBAL: global_paper, Knowledge.FGBG: fgbg_paper, Knowledge.INSTANCE: instance_paper},
}
"""Semantics to knowledge to loss."""
