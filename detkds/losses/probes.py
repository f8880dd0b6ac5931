"""What a plugin's function must do before it becomes a word: right shapes and finite values with finite gradients on small batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from detkds.errors import GenomeError
from detkds.losses.regions import gather
from detkds.losses.views import Response, Views

STRIDE = 8


def maps() -> Iterator[tuple[Tensor, Tensor]]:
    """Student, with gradient, and teacher (N, C, H, W): ordinary ones, one sample with odd sides, a student that is 0 everywhere."""
    draws = torch.Generator().manual_seed(0)
    for shape in ((2, 4, 8, 6), (1, 3, 5, 7)):
        yield torch.randn(shape, generator=draws).requires_grad_(), torch.randn(shape, generator=draws)
    yield torch.zeros(2, 4, 8, 6, requires_grad=True), torch.randn(2, 4, 8, 6, generator=draws)


def sides() -> Iterator[tuple[Tensor, Tensor]]:
    """Left, top, right, bottom (N, 4, H, W) of overlapping boxes, with gradient for the student's."""
    draws = torch.Generator().manual_seed(0)
    yield (torch.rand(2, 4, 3, 5, generator=draws) + 0.5).requires_grad_(), torch.rand(2, 4, 3, 5, generator=draws) + 0.5


def views() -> Views:
    """Two images with three boxes, two neck levels and scores of three classes on their grids."""
    draws = torch.Generator().manual_seed(0)
    sizes = ((8, 6), (4, 3))
    levels = [tuple(torch.randn(2, 4, *size, generator=draws) for size in sizes) for _ in range(2)]
    boxes = (torch.tensor([[4.0, 6.0, 30.0, 40.0], [20.0, 20.0, 45.0, 60.0]]), torch.tensor([[10.0, 3.0, 21.0, 17.0]]))
    heads = [
        Response(
            tuple(torch.rand(2, 3, *size, generator=draws) for size in sizes),
            tuple(torch.rand(2, 4, *size, generator=draws) * 40 for size in sizes),
            tuple(torch.zeros(1, 2, *size) for size in sizes),
            tuple(torch.full((1, 2, 1, 1), float(STRIDE * 2**place)) for place in range(2)),
        )
        for _ in range(2)
    ]
    return Views(levels[0], levels[1], (STRIDE, 2 * STRIDE), boxes, (64, 48), heads[0], heads[1])


def distance(name: str, function: Callable[..., Any], arguments: int) -> None:
    """A distance of values: a scalar, or a value for each position; smallest at equality, where a root's gradient would be infinite."""

    def loss(student: Tensor, teacher: Tensor, weight: Tensor | None) -> Tensor:
        if arguments == 3:
            value = _called("distance", name, function, student, teacher, weight)
            return _shaped("distance", name, value, [()])
        value = _called("distance", name, function, student, teacher)
        return _shaped("distance", name, value, [tuple(student.shape), (len(student), 1, *student.shape[2:])]).mean()

    for student, teacher in maps():
        for weight in (None, torch.rand(len(student), 1, *student.shape[2:])):
            _differentiated("distance", name, loss(student, teacher, weight), student)
        equal = teacher.clone().requires_grad_()
        _differentiated("distance", name, loss(equal, teacher, None), equal)
        _smallest_at_equality(name, loss(teacher, teacher, None), loss(student, teacher, None))


def box_distance(name: str, function: Callable[..., Any], arguments: int) -> None:
    """A distance of boxes: a value for each; smallest at equality."""
    for student, teacher in sides():
        wanted = [(len(student), *student.shape[2:])]
        apart = _shaped("distance", name, _called("distance", name, function, student, teacher), wanted).mean()
        equal = _shaped("distance", name, _called("distance", name, function, teacher, teacher), wanted).mean()
        _differentiated("distance", name, apart, student)
        _smallest_at_equality(name, equal, apart)


def transform(name: str, function: Callable[..., Any], slot: str, arguments: int, *, boxes: bool) -> None:
    """A transform: the shapes that its slot allows."""
    for student, teacher in sides() if boxes else maps():
        if arguments == 1:
            values = [_called("transform", name, function, side) for side in (student, teacher)]
        else:
            generator = [torch.Generator().manual_seed(0)] if arguments == 3 else []
            values = _called("transform", name, function, student, teacher, *generator)
            if not isinstance(values, tuple) or len(values) != 2:
                raise GenomeError(f"the transform {name!r} must return a pair, student and teacher, got {_described(values)}.")
        for value, side in zip(values, (student, teacher), strict=True):
            if slot == "norm" or slot == "attention" or boxes:
                _shaped("transform", name, value, [tuple(side.shape)])
            elif slot == "scale":
                _shaped("transform", name, value, [(len(side), side.shape[1], None, None)])
            else:
                _shaped("transform", name, value, [(None, None, None, None)])
        if values[0].shape != values[1].shape:
            raise GenomeError(f"the transform {name!r} must leave student and teacher of one shape, got {_described(values)}.")
        # A sum alone would miss a transform of mean 0, whose sum has no gradient.
        _differentiated("transform", name, (values[0] * torch.linspace(0, 1, values[0].numel()).view_as(values[0])).sum(), student)


def region(name: str, function: Callable[..., Any]) -> None:
    """A region of fgbg: weights (N, 1, H, W), 0 or more, some above 0."""
    batch = views()
    boxes = gather(batch.boxes, batch.batch_shape)
    for level, stride in zip(batch.student_levels, batch.strides, strict=True):
        value = _shaped("region", name, _called("region", name, function, boxes, level, stride), [(len(level), 1, *level.shape[2:])])
        if not (bool((value >= 0).all()) and bool(value.isfinite().all()) and bool((value > 0).any())):
            raise GenomeError(f"the region {name!r} must give weights of 0 or more, and some above, got {float(value.min()):.3g} to "
                              f"{float(value.max()):.3g}.")  # fmt: skip


def instances(name: str, function: Callable[..., Any]) -> None:
    """A region of instance: one tensor (n, 4) of finite boxes per image."""
    batch = views()
    boxes = _called("region", name, function, batch)
    if not isinstance(boxes, list | tuple) or len(boxes) != len(batch.boxes):
        raise GenomeError(
            f"the region {name!r} must return one tensor of boxes for each of {len(batch.boxes)} images, got {_described(boxes)}."
        )
    for value in boxes:
        if not bool(_shaped("region", name, value, [(None, 4)]).isfinite().all()):
            raise GenomeError(f"the region {name!r} must return finite boxes, got {_described(boxes)}.")


def _called(kind: str, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:  # the function is a user's: it may raise anything
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise GenomeError(f"the {kind} {name!r} fails on {_described(arguments)}: {text}") from None


def _shaped(kind: str, name: str, value: Any, allowed: Sequence[tuple[int | None, ...]]) -> Tensor:
    fits = isinstance(value, Tensor) and any(
        len(value.shape) == len(shape) and all(wanted in (None, size) for wanted, size in zip(shape, value.shape, strict=True))
        for shape in allowed
    )
    if not fits:
        wanted = " or ".join(f"({', '.join('any' if size is None else str(size) for size in shape)})" for shape in allowed)
        raise GenomeError(f"the {kind} {name!r} must return a tensor of shape {wanted}, got {_described(value)}.")
    found: Tensor = value
    return found


def _differentiated(kind: str, name: str, loss: Tensor, student: Tensor) -> None:
    if not bool(loss.isfinite()):
        raise GenomeError(
            f"the {kind} {name!r} is {float(loss.detach()):.3g} on a probe of shape {tuple(student.shape)}; it must be finite."
        )
    if not loss.requires_grad:
        raise GenomeError(f"the {kind} {name!r} has no gradient to the student: nothing would be learned from it.")
    (gradient,) = torch.autograd.grad(loss, student, allow_unused=True, retain_graph=True)
    if gradient is not None and not bool(gradient.isfinite().all()):
        raise GenomeError(f"the {kind} {name!r} has a gradient that is not finite on a probe of shape {tuple(student.shape)}.")


def _smallest_at_equality(name: str, equal: Tensor, apart: Tensor) -> None:
    least, other = float(equal.detach()), float(apart.detach())
    if not least < other:
        raise GenomeError(
            f"the distance {name!r} is {least:.4g} where student and teacher are equal and {other:.4g} where they differ; "
            "it must be smallest at equality."
        )


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_described, value))})"
    return "None" if value is None else type(value).__name__
