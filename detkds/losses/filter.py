"""The loss filter (section 3.2): what one probe batch shows about a candidate before any training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from detkds.errors import Rejected
from detkds.genome import Genome, Recipe
from detkds.losses.distill import RecipeLoss
from detkds.losses.needs import missing
from detkds.losses.views import Response, Views

TOO_LARGE = 100.0
"""Losses above this are filtered (section 3.2)."""

ZERO = 1e-7
"""Relative change of the loss, to first order and for a change of the student by its own size, below which there is no gradient."""

STEPS = (1e-1, 1e-2, 1e-3, 1e-4)
"""Lengths of the steps against the gradient, as shares of the student's size."""

ROUNDING = 1e-5
"""A relative increase of the loss below this does not count as an increase."""

SKETCH = 32
"""Numbers that stand for a gradient's direction in a signature."""


@dataclass(frozen=True)
class Signature:
    """A candidate's effect on the probe batch: equal for candidates that train alike up to a factor of the loss."""

    size: float
    """Length of the student's gradient."""
    loss: float
    """Loss over `size`."""
    direction: tuple[float, ...]
    """A sketch of the gradient of length 1, 32 numbers."""

    def factor(self, other: Signature, tolerance: float = 1e-3) -> float | None:
        """The factor by which this loss is `other`'s, or None where the two differ in more than a factor."""
        mine, others = ((signature.loss, *signature.direction) for signature in (self, other))
        alike = all(math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance) for a, b in zip(mine, others, strict=True))
        return self.size / other.size if alike and other.size else None


def reject_on_probe(recipe: Recipe, views: Views, step: int = 0) -> None:
    """Accepts a recipe, or says why it cannot work.

    Args:
        recipe: each active genome is judged by itself.
        views: a probe batch with ground-truth boxes and a student that differs from the teacher.
        step: seeds the random masks.

    Raises:
        Rejected: unsupported (the pair does not offer what the words need), nan, infinite (loss or gradient), too-large (loss > 100),
            zero-gradient, or ascending: a step against the gradient does not lower the loss, or the teacher's own values have a higher
            one than the student's.
    """
    for genome in recipe.active:
        _judge(genome, recipe.semantics, views, step)


def signature(recipe: Recipe, views: Views, step: int = 0) -> Signature:
    """Total loss and its gradient to everything of the student's, on the probe batch, up to a positive factor.

    Signatures compare only among recipes probed with the same views and step.
    """
    loss, gradients = _differentiate(recipe, views, step)
    flat = torch.cat([gradient.flatten().double() for gradient in gradients])
    size = float(flat.norm())
    # Random signs, then sums of every 32nd entry: keeps lengths and angles well enough to distinguish directions.
    signs = torch.randint(0, 2, flat.shape, generator=torch.Generator().manual_seed(0)).to(flat.device) * 2 - 1
    padded = torch.cat([flat * signs, flat.new_zeros(-len(flat) % SKETCH)]).view(-1, SKETCH).sum(0)
    return Signature(size, loss / size if size else loss, tuple((padded / (size or 1.0)).tolist()))


def _judge(genome: Genome, semantics: str, views: Views, step: int) -> None:
    recipe = Recipe((genome,), semantics)
    if reason := missing(genome, views):
        raise Rejected("unsupported", reason)
    loss, gradients = _differentiate(recipe, views, step)
    _check_value("loss", loss, genome)
    if loss > TOO_LARGE:
        raise Rejected("too-large", f"the loss of `{genome}` is {loss:.4g} on the probe batch, above {TOO_LARGE:g}.")
    length = _norm(gradients)
    _check_value("gradient", length, genome)
    # Only what the loss moves gives the scale: pixels of boxes say nothing about features.
    size = _norm([tensor * (gradient != 0).any() for tensor, gradient in zip(_student(views), gradients, strict=True)])
    if length * size <= ZERO * genome.factor:
        raise Rejected("zero-gradient", f"`{genome}` gives the student a gradient of length {length:.3g} on the probe batch.")
    _check_descent(recipe, views, step, loss, [gradient * (size / length) for gradient in gradients])


def _check_value(what: str, value: float, genome: Genome) -> None:
    if math.isnan(value):
        raise Rejected("nan", f"the {what} of `{genome}` is NaN on the probe batch.")
    if math.isinf(value):
        raise Rejected("infinite", f"the {what} of `{genome}` is infinite on the probe batch.")


def _check_descent(recipe: Recipe, views: Views, step: int, loss: float, uphill: list[Tensor]) -> None:
    """`uphill` is the gradient, as long as the student's values."""
    highest = loss + ROUNDING * abs(loss)
    moved = (_evaluate(recipe, _shifted(views, uphill, -share), step) for share in STEPS)
    if not any(value <= highest for value in moved):
        raise Rejected("ascending", f"no step against the gradient of `{recipe}` lowers its loss, {loss:.6g}, on the probe batch.")
    at_teacher = _evaluate(recipe, _imitated(views), step)
    if not at_teacher <= highest:
        raise Rejected("ascending", f"the loss of `{recipe}` is {at_teacher:.6g} where the student equals the teacher, {loss:.6g} before.")


def _evaluate(recipe: Recipe, views: Views, step: int) -> float:
    with torch.no_grad():
        return float(sum(RecipeLoss(recipe)(views, step).values()))


def _differentiate(recipe: Recipe, views: Views, step: int) -> tuple[float, list[Tensor]]:
    """Total loss, and its gradient to each tensor of `_student`, which are float32 leaves here."""
    with torch.enable_grad():
        leaves = [tensor.detach().float().clone().requires_grad_() for tensor in _student(views)]
        losses = RecipeLoss(recipe)(_with_student(views, iter(leaves)), step)
        total = torch.stack(list(losses.values())).sum()
        gradients = torch.autograd.grad(total, leaves, allow_unused=True)
    filled = [torch.zeros_like(leaf) if gradient is None else gradient for leaf, gradient in zip(leaves, gradients, strict=True)]
    return float(total.detach()), filled


def _student(views: Views) -> list[Tensor]:
    """What a loss can move: neck levels and those generated of them, then scores, boxes and bins."""
    made = [level for word in sorted(views.generated) for level in views.generated[word].student]
    return [*views.student_levels, *made, *_answers(views.student_response), *_answers(views.crossed_response)]


def _answers(response: Response | None) -> list[Tensor]:
    return [*response.scores, *response.boxes, *(response.bins or ())] if response else []


def _with_student(views: Views, tensors: Iterator[Tensor]) -> Views:
    """The views with the student's tensors replaced, in the order of `_student`."""
    levels = _drawn(views.student_levels, tensors)
    generated = {word: views.generated[word] for word in sorted(views.generated)}
    generated = {word: made._replace(student=_drawn(made.student, tensors)) for word, made in generated.items()}
    student, crossed = (_answered(response, tensors) for response in (views.student_response, views.crossed_response))
    return replace(views, student_levels=levels, generated=generated, student_response=student, crossed_response=crossed)


def _answered(response: Response | None, tensors: Iterator[Tensor]) -> Response | None:
    """The response with the next tensors, in the order of `_answers`."""
    if response is None:
        return None
    scores, boxes = _drawn(response.scores, tensors), _drawn(response.boxes, tensors)
    return replace(response, scores=scores, boxes=boxes, bins=response.bins and _drawn(response.bins, tensors))


def _drawn(like: tuple[Tensor, ...], tensors: Iterator[Tensor]) -> tuple[Tensor, ...]:
    """As many tensors as `like` has."""
    return tuple(next(tensors) for _ in like)


def _shifted(views: Views, direction: list[Tensor], share: float) -> Views:
    pairs = zip(_student(views), direction, strict=True)
    return _with_student(views, (tensor.detach().float() + share * along for tensor, along in pairs))


def _imitated(views: Views) -> Views:
    """The views of a student that has the teacher's values."""
    generated = {word: made._replace(student=made.teacher) for word, made in views.generated.items()}
    student, crossed = (_answering(side, views.teacher_response) for side in (views.student_response, views.crossed_response))
    imitated = replace(views, generated=generated, student_response=student, crossed_response=crossed)
    return replace(imitated, student_levels=views.teacher_levels)


def _answering(response: Response | None, teacher: Response | None) -> Response | None:
    """The response with the teacher's scores, boxes and bins."""
    if response is None or teacher is None:
        return response
    return replace(response, scores=teacher.scores, boxes=teacher.boxes, bins=response.bins and teacher.bins)


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(float(tensor.detach().float().square().sum()) for tensor in tensors))
