"""The losses of semantics `paper` written down plainly: a loop over levels, images and boxes, one formula a line, nothing fused.

It shares no code with `detkds.losses` but the views. The tests hold both to the same numbers, the benchmark to their times.
"""

from __future__ import annotations

import math

import torch
from reference_words import attend, box_distance, class_distance, distance, normalise, patches, response_transform
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

from detkds.genome import Genome, Knowledge, Recipe
from detkds.losses import Views


def recipe_loss(recipe: Recipe, views: Views, step: int) -> dict[Knowledge, Tensor]:
    """Weighted losses of the active genomes, semantics `paper`."""
    views = views.in_float32()
    losses = {
        Knowledge.GLOBAL: global_loss,
        Knowledge.FGBG: fgbg_loss,
        Knowledge.INSTANCE: instance_loss,
        Knowledge.LOGITS: logits_loss,
        Knowledge.LOCALIZATION: localization_loss,
    }
    result = {}
    for genome in recipe.active:
        generator = torch.Generator().manual_seed(step * 5 + list(Knowledge).index(genome.knowledge))
        result[genome.knowledge] = genome.weight * losses[genome.knowledge](genome, views, generator)
    return result


def global_loss(genome: Genome, views: Views, generator: Generator) -> Tensor:
    total = 0.0
    for student, teacher in zip(views.student_levels, views.teacher_levels, strict=True):
        total = total + feature_loss(genome, student, teacher, torch.ones_like(student[:, :1]), generator)
    return total / len(views.student_levels)


def fgbg_loss(genome: Genome, views: Views, generator: Generator) -> Tensor:
    total = 0.0
    for student, teacher, stride in zip(views.student_levels, views.teacher_levels, views.strides, strict=True):
        foreground = torch.zeros_like(student[:, :1])
        height, width = foreground.shape[2:]
        for image, boxes in enumerate(views.boxes):
            for x1, y1, x2, y2 in boxes.tolist():
                left, top = math.floor(x1 / stride), math.floor(y1 / stride)
                right, bottom = min(math.ceil(x2 / stride), width), min(math.ceil(y2 / stride), height)
                part = foreground[image, 0, top:bottom, left:right]
                part.copy_(part.clamp(min=1 / ((right - left) * (bottom - top))))
        background = (foreground == 0).float()
        inside = 1 - background
        total = total + feature_loss(genome, student * inside, teacher * inside, foreground, generator)
        total = total + 0.5 * feature_loss(genome, student * background, teacher * background, background, generator)
    return total / len(views.student_levels)


def instance_loss(genome: Genome, views: Views, generator: Generator) -> Tensor:
    crops: list[list[Tensor]] = [[], []]
    for image, boxes in enumerate(views.boxes):
        for box in boxes.tolist():
            side = math.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 1))
            k = math.floor(4 + math.log2(side / 224))
            level = max(index for index, stride in enumerate(views.strides) if index == 0 or math.log2(stride) <= k)
            for levels, found in zip((views.student_levels, views.teacher_levels), crops, strict=True):
                found.append(crop(levels[level][image : image + 1], views.strides[level], box))
    student, teacher = torch.cat(crops[0]), torch.cat(crops[1])
    return feature_loss(genome, student, teacher, torch.ones_like(student[:, :1]), generator)


def crop(level: Tensor, stride: int, box: list[float]) -> Tensor:
    """RoIAlign of one box: 14 x 14 bilinear samples, averaged two by two."""
    height, width = level.shape[2:]
    x1, y1, x2, y2 = (side / stride - 0.5 for side in box)
    steps = (torch.arange(14) + 0.5) / 14
    x, y = x1 + (x2 - x1) * steps, y1 + (y2 - y1) * steps
    grid_y, grid_x = torch.meshgrid((2 * y + 1) / height - 1, (2 * x + 1) / width - 1, indexing="ij")
    samples = F.grid_sample(level, torch.stack([grid_x, grid_y], 2)[None], padding_mode="border", align_corners=False)
    return F.avg_pool2d(samples, 2)


def feature_loss(genome: Genome, student: Tensor, teacher: Tensor, weight: Tensor, generator: Generator) -> Tensor:
    slots = genome.slots
    student, teacher = attend(slots["attention"], student, teacher, generator)
    word, _, n = slots["scale"].partition("_")
    if word == "scale":
        student, teacher, weight = (F.max_pool2d(f, int(n), ceil_mode=True) for f in (student, teacher, weight))
    if word == "local":
        student, teacher = (patches(f, int(n), "replicate") for f in (student, teacher))
        weight = patches(weight, int(n), "constant")
    return distance(slots["distance"], normalise(slots["norm"], student), normalise(slots["norm"], teacher), weight)


def logits_loss(genome: Genome, views: Views, generator: Generator) -> Tensor:
    assert views.student_response is not None
    assert views.teacher_response is not None
    total = 0.0
    for scores in zip(views.student_response.scores, views.teacher_response.scores, strict=True):
        student, teacher = (response_transform(genome.slots["transform"], p) for p in scores)
        total = total + class_distance(genome.slots["distance"], student, teacher)
    return total / len(views.student_response.scores)


def localization_loss(genome: Genome, views: Views, generator: Generator) -> Tensor:
    student, teacher = views.student_response, views.teacher_response
    assert student is not None
    assert teacher is not None
    total = 0.0
    for level, centres in enumerate(student.centres):
        units = student.units[level].clamp(min=1)
        sides = []
        for boxes in (student.boxes[level], teacher.boxes[level]):
            low, high = (centres - boxes[:, :2]) / units, (boxes[:, 2:] - centres) / units
            sides.append(response_transform(genome.slots["transform"], torch.cat([low, high], 1)))
        score = teacher.scores[level].max(1).values
        weight = torch.where(score > 0.05, score, 0)
        total = total + (box_distance(genome.slots["distance"], *sides) * weight).sum() / weight.sum().clamp(min=1e-12)
    return total / len(student.centres)
