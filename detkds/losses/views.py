"""Views: what one training step offers to the distillation losses, whatever detector it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from torch import Tensor

from detkds.errors import ConfigError


@dataclass(frozen=True)
class Response:
    """One head's answers in the common view (SEMANTICS, "Responses"); a tuple has one entry per level.

    Args:
        scores: (N, K, H, W) class scores in [0, 1]; RoI heads have one level of (R, K, 1, 1).
        boxes: (N, 4, H, W) x1, y1, x2, y2 in pixels of the padded batch; RoI heads (R, 4, 1, 1).
        centres: (1 or N, 2, H, W) x, y of the cells' centres in pixels; RoI heads: the proposals' centres (R, 2, 1, 1).
        units: (1 or N, 2, H, W), or (1, 2, 1, 1), the length in pixels that counts as 1 along x and y: stride, or proposal size.
        bins: (N, 4 (n + 1), H, W) logits of the distributions over the bins 0 … n of each side, left, top, right, bottom, of heads that
            predict them (GFL); None for all others.
    """

    scores: tuple[Tensor, ...]
    boxes: tuple[Tensor, ...]
    centres: tuple[Tensor, ...]
    units: tuple[Tensor, ...]
    bins: tuple[Tensor, ...] | None = None

    def apply(self, change: Callable[[Tensor], Tensor]) -> Response:
        """The response with every tensor changed."""
        scores, boxes, centres, units = (tuple(map(change, part)) for part in (self.scores, self.boxes, self.centres, self.units))
        return Response(scores, boxes, centres, units, None if self.bins is None else tuple(map(change, self.bins)))

    def in_float32(self, *, detached: bool) -> Response:
        """The same values in float32; detached where no gradient may flow."""
        return self.apply(lambda tensor: (tensor.detach() if detached else tensor).float())


class Generated(NamedTuple):
    """What the modules of a word make of the neck levels; gradients flow to the modules of both sides."""

    student: tuple[Tensor, ...]  # (N, C, H, W) each, with gradient to the student
    teacher: tuple[Tensor, ...]  # the same shapes


@dataclass(frozen=True)
class Views:
    """Inputs of all five knowledges for one batch. Student and teacher agree in shape level by level.

    Args:
        student_levels: neck levels (N, C, H, W), fine to coarse, any floating dtype; empty where no feature knowledge is used.
        teacher_levels: the same of the teacher.
        strides: pixels per cell, one per level.
        boxes: ground truth, one tensor (n_i, 4) an image: x1, y1, x2, y2 in pixels of the padded batch.
        batch_shape: height and width of the padded batch in pixels.
        student_response: the student's head, or None where no response knowledge is used.
        teacher_response: the teacher's head, or None.
        crossed_response: what the teacher's head makes of the student's head features, or None where no loss reads it.
        generated: word to what its trained modules make of the levels (losses.trained); empty where no genome asks for it.
        image_shapes: height and width in pixels of each image of the padded batch; empty where they are not known.

    Raises:
        ConfigError: student and teacher differ in the number or the shape of levels.
    """

    student_levels: tuple[Tensor, ...]
    teacher_levels: tuple[Tensor, ...]
    strides: tuple[int, ...]
    boxes: tuple[Tensor, ...]
    batch_shape: tuple[int, int]
    student_response: Response | None = None
    teacher_response: Response | None = None
    crossed_response: Response | None = None
    generated: Mapping[str, Generated] = field(default_factory=dict)
    image_shapes: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        _check_alike("neck", self.student_levels, self.teacher_levels)
        if len(self.student_levels) not in (0, len(self.strides)):
            raise ConfigError(f"views need one stride a level, got {len(self.strides)} strides for {len(self.student_levels)} levels.")
        if self.student_response is not None and self.teacher_response is not None:
            _check_alike("score", self.student_response.scores, self.teacher_response.scores)
            _check_alike("box", self.student_response.boxes, self.teacher_response.boxes)
        if self.crossed_response is not None and self.teacher_response is not None:
            _check_alike("crossed score", self.crossed_response.scores, self.teacher_response.scores)
        for word, (student_levels, teacher_levels) in self.generated.items():
            _check_alike(word, student_levels, self.teacher_levels)
            _check_alike(word, teacher_levels, self.teacher_levels)

    def changed(self, change: Callable[[Tensor], Tensor]) -> dict[str, Generated]:
        """`generated` with every tensor changed."""
        return {word: Generated(*(tuple(map(change, side)) for side in sides)) for word, sides in self.generated.items()}

    def in_float32(self) -> Views:
        """The same views in float32 with the teacher's side detached: half precision is too coarse for variances and exponentials."""
        student, teacher = self.student_response, self.teacher_response
        return replace(
            self,
            student_levels=_in_float32(self.student_levels, detached=False),
            teacher_levels=_in_float32(self.teacher_levels, detached=True),
            boxes=_in_float32(self.boxes, detached=True),
            student_response=student and student.in_float32(detached=False),
            teacher_response=teacher and teacher.in_float32(detached=True),
            crossed_response=self.crossed_response and self.crossed_response.in_float32(detached=False),
            generated=self.changed(lambda tensor: tensor.float()),
        )


def _in_float32(tensors: tuple[Tensor, ...], detached: bool) -> tuple[Tensor, ...]:
    return tuple((tensor.detach() if detached else tensor).float() for tensor in tensors)


def _check_alike(what: str, student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> None:
    """Broadcasting would hide a misaligned level, so shapes must agree exactly."""
    shapes = [[tuple(tensor.shape) for tensor in side] for side in (student, teacher)]
    if shapes[0] != shapes[1]:
        raise ConfigError(
            f"{what} levels of student and teacher must have equal shapes, got {shapes[0]} and {shapes[1]}; align them first."
        )
