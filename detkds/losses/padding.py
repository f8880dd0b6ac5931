"""Padding left out: cells that lie completely outside their image contribute nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from detkds.losses.views import Generated, Response, Views

Shapes = Sequence[tuple[int, int]]


def without_padding(views: Views) -> Views:
    """The views cut to the largest image, and in smaller ones the student's cells outside replaced by the teacher's, so that they differ
    nowhere and have no gradient. The same views where the sizes of the images are not known or fill the batch.

    Heads that predict per proposal or query have no padding.
    """
    shapes = views.image_shapes
    if not shapes or all(shape == views.batch_shape for shape in shapes):
        return views
    levels = zip(views.student_levels, views.teacher_levels, views.strides, strict=True) if views.student_levels else ()
    pairs = [_cut(student, teacher, stride, shapes) for student, teacher, stride in levels]
    generated: dict[str, Generated] = {}
    for word, sides in views.generated.items():
        made = [_cut(ours, theirs, stride, shapes) for ours, theirs, stride in zip(*sides, views.strides, strict=True)]
        generated[word] = Generated(tuple(ours for ours, _ in made), tuple(theirs for _, theirs in made))
    student, teacher = _responses(views, views.student_response)
    crossed, _ = _responses(views, views.crossed_response)
    return replace(
        views,
        student_levels=tuple(ours for ours, _ in pairs),
        teacher_levels=tuple(theirs for _, theirs in pairs),
        generated=generated,
        student_response=student,
        teacher_response=teacher,
        crossed_response=crossed,
    )


def stride_of(cells_NCHW: Tensor, views: Views) -> int:
    """The power of two nearest to pixels per cell; 0 for heads without a grid. The coarsest levels have a part of a cell more than the
    batch."""
    N, _, H, W = cells_NCHW.shape
    if len(views.boxes) != N or H == W == 1:
        return 0
    pixels, cells = max((views.batch_shape[0], H), (views.batch_shape[1], W))
    return 1 << round(math.log2(pixels / cells))


def _responses(views: Views, ours: Response | None) -> tuple[Response | None, Response | None]:
    """A response of the student's side, and the teacher's, cut alike."""
    theirs = views.teacher_response
    if ours is None or theirs is None:
        return ours, theirs
    strides = [stride_of(scores, views) for scores in ours.scores]
    scores, boxes = (
        [_cut(s, t, stride, views.image_shapes) for s, t, stride in zip(a, b, strides, strict=True)]
        for a, b in ((ours.scores, theirs.scores), (ours.boxes, theirs.boxes))
    )
    bins = [
        _cut(s, t, stride, views.image_shapes) for s, t, stride in zip(ours.bins, theirs.bins, strides, strict=True)
    ] if ours.bins and theirs.bins else None  # fmt: skip
    sides = []
    for place, side in enumerate((ours, theirs)):
        centres, units = (
            tuple(_inside(part, stride, views.image_shapes) for part, stride in zip(parts, strides, strict=True))
            for parts in (side.centres, side.units)
        )
        picked = None if bins is None else tuple(pair[place] for pair in bins)
        sides.append(Response(tuple(pair[place] for pair in scores), tuple(pair[place] for pair in boxes), centres, units, picked))
    return sides[0], sides[1]


def _cut(student: Tensor, teacher: Tensor, stride: int, shapes: Shapes) -> tuple[Tensor, Tensor]:
    student, teacher = (_inside(side, stride, shapes) for side in (student, teacher))
    if stride == 0 or all(shape == shapes[0] for shape in shapes):
        return student, teacher
    outside = student.new_ones(len(student), 1, *student.shape[2:], dtype=torch.bool)
    for cells, (height, width) in zip(outside, shapes, strict=True):
        cells[:, : math.ceil(height / stride), : math.ceil(width / stride)] = False
    return teacher.where(outside, student), teacher


def _inside(part: Tensor, stride: int, shapes: Shapes) -> Tensor:
    """Cut to the cells of the largest image; what is the same for all cells stays."""
    if stride == 0:
        return part
    height, width = (max(math.ceil(shape[axis] / stride) for shape in shapes) for axis in (0, 1))
    return part[:, :, :height, :width]
