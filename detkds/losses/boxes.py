"""The IoU family on boxes given by the distances of their sides from a point: losses 1 - metric, one value a box.

The definitions are the literature's, not appendix D's, which prints GIoU as C-IoU and an E-IoU that is 0 for a match and for
disjoint boxes alike: IoU; GIoU (Rezatofighi et al., 2019); DIoU, CIoU (Zheng et al., 2020); EIoU (Zhang et al., 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from detkds.genome import Knowledge
from detkds.genome.words import operation

_BOXES = (Knowledge.LOCALIZATION,)

EPS = 1e-7
"""Keeps 0/0 away from degenerate boxes, in squared units; it stands above and below the line, so equal boxes have IoU 1."""

BoxDistance = Callable[[Tensor, Tensor], Tensor]
"""(student, teacher): left, top, right, bottom distances (N, 4, ...) -> loss (N, ...), 0 at equality."""


class Overlap(NamedTuple):
    """What two boxes share; each (N, ...)."""

    iou: Tensor
    union: Tensor
    width_s: Tensor
    height_s: Tensor
    width_t: Tensor
    height_t: Tensor
    enclosing_width: Tensor
    enclosing_height: Tensor
    centre_distance: Tensor  # squared


def sides_from(boxes: Tensor, centres: Tensor, units: Tensor) -> Tensor:
    """Left, top, right, bottom distances of x1y1x2y2 boxes (N, 4, ...) from `centres` (N, 2, ...), in `units` of at least a pixel."""
    unit = units.clamp(min=1)
    return torch.cat([centres - boxes[:, :2], boxes[:, 2:] - centres], 1) / torch.cat([unit, unit], 1)


def overlap(student: Tensor, teacher: Tensor) -> Overlap:
    """Areas and lengths of two boxes around the same point. A side beyond the opposite one leaves an empty box."""
    inner, outer = torch.minimum(student, teacher), torch.maximum(student, teacher)
    (width_s, height_s), (width_t, height_t), (width_i, height_i), (width_e, height_e) = map(_size, (student, teacher, inner, outer))
    intersection = width_i * height_i
    union = width_s * height_s + width_t * height_t - intersection
    offset = (student[:, 2:] - student[:, :2]) - (teacher[:, 2:] - teacher[:, :2])
    return Overlap(
        iou=(intersection + EPS) / (union + EPS),
        union=union,
        width_s=width_s,
        height_s=height_s,
        width_t=width_t,
        height_t=height_t,
        enclosing_width=width_e,
        enclosing_height=height_e,
        centre_distance=(offset / 2).square().sum(1),
    )


@operation("iou", "distance", _BOXES)
def iou(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - IoU: [0, 1]; no gradient between disjoint boxes."""
    return 1 - overlap(student, teacher).iou


@operation("giou", "distance", _BOXES)
def giou(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - (IoU - (A_c - A_u) / A_c) with the enclosing box c and the union u: [0, 2]."""
    o = overlap(student, teacher)
    enclosing = o.enclosing_width * o.enclosing_height
    return 1 - o.iou + (enclosing - o.union) / (enclosing + EPS)


@operation("diou", "distance", _BOXES)
def diou(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - (IoU - rho² / c²) with the centres' distance rho and the enclosing box's diagonal c: [0, 2]."""
    o = overlap(student, teacher)
    return 1 - o.iou + _centre_term(o)


@operation("ciou", "distance", _BOXES)
def ciou(student: Tensor, teacher: Tensor) -> Tensor:
    """DIoU's loss + a v, v = 4/π² (atan w_t/h_t - atan w_s/h_s)², a = v / (1 - IoU + v) without gradient."""
    o = overlap(student, teacher)
    v = 4 / math.pi**2 * (torch.atan(o.width_t / (o.height_t + EPS)) - torch.atan(o.width_s / (o.height_s + EPS))).square()
    alpha = (v / (1 - o.iou + v + EPS)).detach()
    return 1 - o.iou + _centre_term(o) + alpha * v


@operation("eiou", "distance", _BOXES)
def eiou(student: Tensor, teacher: Tensor) -> Tensor:
    """DIoU's loss + (w_s - w_t)² / w_c² + (h_s - h_t)² / h_c² with the enclosing box's sides: [0, 4]."""
    o = overlap(student, teacher)
    width = (o.width_s - o.width_t).square() / (o.enclosing_width.square() + EPS)
    height = (o.height_s - o.height_t).square() / (o.enclosing_height.square() + EPS)
    return 1 - o.iou + _centre_term(o) + width + height


def _size(sides: Tensor) -> tuple[Tensor, Tensor]:
    """Width and height, at least 0."""
    width, height = (sides[:, :2] + sides[:, 2:]).clamp(min=0).unbind(1)
    return width, height


def _centre_term(o: Overlap) -> Tensor:
    return o.centre_distance / (o.enclosing_width.square() + o.enclosing_height.square() + EPS)
