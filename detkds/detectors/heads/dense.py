"""Responses of dense heads, a cell each: anchors, points or boxes on a grid a level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkds.detectors.connectors import match_levels, stride_mismatch
from detkds.detectors.heads import crossing
from detkds.detectors.heads.cells import Cells, Level
from detkds.detectors.heads.fcos import FCOS
from detkds.detectors.heads.gfl import GFL
from detkds.detectors.heads.predictions import Family, Predictions, best, match
from detkds.detectors.heads.reppoints import RepPoints
from detkds.detectors.heads.tood import TOOD
from detkds.detectors.heads.yolox import YOLOX
from detkds.detectors.taps import Tapped
from detkds.detectors.teacher_pass import answered
from detkds.losses.views import Response

HEADS: dict[str, type[Cells]] = {
    "RetinaHead": Cells,
    "RetinaSepBNHead": Cells,
    "FreeAnchorRetinaHead": Cells,
    "PISARetinaHead": Cells,
    "ATSSHead": Cells,
    "RTMDetHead": Cells,
    "RTMDetSepBNHead": Cells,
    "FCOSHead": FCOS,
    "NASFCOSHead": FCOS,
    "GFLHead": GFL,
    "LDHead": GFL,
    "YOLOXHead": YOLOX,
    "RepPointsHead": RepPoints,
    "TOODHead": TOOD,
}
"""By exact name: subclasses of these in mmdet give their outputs other meanings."""


class Dense(Family):
    """Detectors whose head predicts at every cell of every level."""

    @staticmethod
    def reads(detector: nn.Module) -> bool:
        """Whether HEADS has the detector's head."""
        head: Any = getattr(detector, "bbox_head", None)
        return type(head).__name__ in HEADS and not getattr(head.loss_cls, "custom_cls_channels", False)

    def predictions(self, tapped: Tapped, samples: Any) -> list[Predictions]:
        """The most confident cells of each image."""
        head, outputs = self.detector.bbox_head, tapped.outputs
        assert outputs is not None
        levels = [cells_of(head).read([kind[index] for kind in outputs], index)[0] for index in range(len(outputs[0]))]
        scores, boxes = (torch.cat([level[part].flatten(2) for level in levels], 2).mT for part in (0, 1))
        return [best(Predictions(*image)) for image in zip(scores, boxes, strict=True)]

    def asked(self, levels: Sequence[Tensor], samples: Any, about: Sequence[Predictions]) -> list[tuple[Tensor, Predictions]]:
        """Its own surest cells, assigned to the student's predictions."""
        outputs = answered(levels, lambda: self.detector.bbox_head(levels))
        own = self.predictions(Tapped(outputs=tuple(outputs)), samples)
        return [match(ours, theirs, sample.img_shape) for ours, theirs, sample in zip(own, about, samples, strict=True)]


class Grids:
    """Reads the dense heads of a student and a teacher cell by cell, as one grid of scores and boxes per level.

    A cell's score of a class is the highest of its anchors, after the head's own activation and times the head's own quality factor
    (centerness, objectness) where it has one: the number by which the head ranks its detections, so that different heads mean the same
    by it. A cell's box is that of its best anchor. Where both heads have the same anchors, the teacher's best anchor is taken on both
    sides, so that like is compared with like; otherwise each side has its own.

    Args:
        student: a detector of the family Dense.
        teacher: the same.
    """

    def __init__(self, student: Any, teacher: Any) -> None:
        self.teacher = teacher.bbox_head
        self.ours, self.theirs = cells_of(student.bbox_head), cells_of(teacher.bbox_head)
        self.same_anchors = _same_anchors(student.bbox_head, teacher.bbox_head)
        self.pairs = match_levels(_strides(student.bbox_head), _strides(teacher.bbox_head))

    @staticmethod
    def mismatch(student: Any, teacher: Any) -> str | None:
        """Why no two levels compare, or None."""
        return stride_mismatch("head", _strides(student.bbox_head), _strides(teacher.bbox_head))

    def __call__(self, tapped: Tapped, levels: Sequence[Tensor], samples: Any) -> tuple[Response, Response]:
        """The student's and the teacher's response, level by level of equal shapes; the teacher's without gradient."""
        with torch.no_grad():
            taught = self._levels(answered(levels, lambda: self.teacher(levels)), 1)
            theirs = [self.theirs.read(level, t) for t, level in taught]
        said, ours = self._levels(tapped.outputs, 0), []
        for (s, level), (_, choice) in zip(said, theirs, strict=True):
            ours.append(self.ours.read(level, s, choice if self.same_anchors else None))
        pairs = [_same_grid(o, t) for (o, _), (t, _) in zip(ours, theirs, strict=True)]
        sizes = [student[0].shape[-2:] for student, _ in pairs]
        return (
            _join([student for student, _ in pairs], _bins(self.ours, said, sizes)),
            _join([teacher for _, teacher in pairs], _bins(self.theirs, taught, sizes)),
        )

    def crossed(self, tapped: Tapped, levels: Sequence[Tensor]) -> Response:
        """What the teacher's head says of the student's head features, of the anchors that the teacher itself chose; with gradient."""
        assert tapped.towers is not None
        with torch.no_grad():
            own = self._levels(answered(levels, lambda: self.teacher(levels)), 1)
            choices = [self.theirs.read(level, t)[1] for t, level in own]
        said = self._levels(crossing.crossed(self.teacher, levels, tapped.towers), 1)
        read = [self.theirs.read(level, t, choice)[0] for (t, level), choice in zip(said, choices, strict=True)]
        return _join(read, _bins(self.theirs, said, [level[0].shape[-2:] for level in read]))

    def _levels(self, outputs: Any, side: int) -> list[tuple[int, tuple[Tensor, ...]]]:
        """(level index, the head's outputs at that level) for each matched level of one side."""
        return [(pair[side], tuple(kind[pair[side]] for kind in outputs)) for pair in self.pairs]


def cells_of(head: Any) -> Cells:
    """The reader of a dense head."""
    return HEADS[type(head).__name__](head)


def _strides(head: Any) -> tuple[int, ...]:
    return tuple(int(width) for width, _ in head.prior_generator.strides)


def _same_anchors(student: Any, teacher: Any) -> bool:
    """Whether anchor number a means the same box on both sides, wherever the strides are equal."""
    first, second = (getattr(head.prior_generator, "base_anchors", None) for head in (student, teacher))
    if first is None or second is None or type(student.bbox_coder) is not type(teacher.bbox_coder):
        return False
    if _strides(student) != _strides(teacher):
        return False
    return all(a.shape == b.shape and torch.allclose(a, b) for a, b in zip(first, second, strict=True))


def _same_grid(student: Level, teacher: Level) -> tuple[Level, Level]:
    """Repeat the cells of the coarser grid so that both have the finer one; boxes and scores of two objects are never blended."""
    ours, theirs = student[0].shape[-2:], teacher[0].shape[-2:]
    if ours == theirs:
        return student, teacher
    finer = student if ours.numel() > theirs.numel() else teacher
    return _repeat(student, finer), _repeat(teacher, finer)


def _repeat(level: Level, finer: Level) -> Level:
    if level is finer:
        return level
    size = finer[0].shape[-2:]
    scores, boxes = (nn.functional.interpolate(value, size=(size[0], size[1]), mode="nearest") for value in level[:2])
    return scores, boxes, finer[2], finer[3]


def _bins(cells: Cells, levels: Sequence[tuple[int, Sequence[Tensor]]], sizes: Sequence[torch.Size]) -> tuple[Tensor, ...] | None:
    """Response.bins on the grids of these sizes, None of a head without."""
    bins = [cells.bins(outputs) for _, outputs in levels]
    known = [value for value in bins if value is not None]
    if len(known) < len(bins):
        return None
    return tuple(nn.functional.interpolate(value, size=(H, W), mode="nearest") for value, (H, W) in zip(known, sizes, strict=True))


def _join(levels: Sequence[Level], bins: tuple[Tensor, ...] | None) -> Response:
    scores, boxes, centres, units = zip(*levels, strict=True)
    return Response(scores=scores, boxes=boxes, centres=centres, units=units, bins=bins)
