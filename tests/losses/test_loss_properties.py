"""What every word must fulfil: 0 at equality, above 0 elsewhere, finite value and gradient, on awkward shapes and half precision.

In float32 each word is tried in its slot beside every distance, so that no word is met only in one company; in half precision, which
the losses leave at once, each word beside one distance and each distance alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from detkds.genome import SLOTS, Genome, Knowledge, Recipe
from detkds.genome.words import vocabulary
from detkds.losses import RecipeLoss, Views

MakeViews = Callable[..., Views]
SEMANTICS = ("paper", "released")

SHAPES = {
    "usual": {},
    "one sample": {"samples": 1},
    "four samples": {"samples": 4},
    "one channel and class": {"channels": 1, "classes": 1},
    "one cell": {"sizes": ((1, 1),), "strides": (64,)},
    "one row": {"sizes": ((1, 7), (1, 4)), "strides": (8, 16)},
    "no boxes": {"boxes": (torch.zeros(0, 4), torch.zeros(0, 4))},
    "boxes in one image": {"boxes": (torch.zeros(0, 4), torch.tensor([[3.0, 3.0, 20.0, 20.0]]))},
    "one box over all": {"boxes": (torch.tensor([[0.0, 0.0, 500.0, 500.0]]),) * 2},
    "a box without extent": {"boxes": (torch.tensor([[9.0, 9.0, 9.0, 9.0]]), torch.tensor([[80.0, 104.0, 80.0, 104.0]]))},
}


def few_genomes(knowledge: Knowledge, semantics: str) -> list[Genome]:
    """Each word of each slot with the first distance, and each distance with empty slots."""
    first = SLOTS[knowledge]["distance"][0]
    every = genomes(knowledge, semantics)
    return [genome for genome in every if genome.distance == first or set(genome.transforms) == {"none"}]


def genomes(knowledge: Knowledge, semantics: str) -> list[Genome]:
    """Each word of each slot with each distance, the other slots empty; and chains with every slot filled."""
    slots = SLOTS[knowledge]
    distances = vocabulary(knowledge, semantics=semantics)["distance"]
    transforms = [name for name in slots if name != "distance"]

    def combinations() -> Iterator[Genome]:
        for distance in distances:
            plain = Genome(knowledge, ("none",) * len(transforms), distance)
            for slot in transforms:
                yield from (plain.with_slot(slot, word) for word in slots[slot])
        if knowledge.is_feature:
            for chain in (("catt", "scale_2", "norm_N"), ("satt", "scale_4", "norm_minmax"), ("mask", "local_4", "norm_HW")):
                yield from (Genome(knowledge, chain, distance) for distance in distances)

    return list(dict.fromkeys(combinations()))


CASES = [pytest.param(knowledge, semantics, id=f"{semantics}-{knowledge}") for semantics in SEMANTICS for knowledge in Knowledge]


def evaluate(genome: Genome, semantics: str, views: Views) -> Tensor:
    return RecipeLoss(Recipe((genome,), semantics))(views, 3)[genome.knowledge]


def draws_apart(genome: Genome, semantics: str) -> bool:
    """The published mask hides different places of student and teacher, so equality is not 0."""
    return semantics == "released" and genome.slots.get("attention") == "mask"


def optimum(genome: Genome, views: Views, semantics: str) -> float:
    """What equality gives: 0, but for cor."""
    if genome.slots["distance"] != "cor":
        return 0.0
    assert views.student_response is not None
    return -10.0 * (len(views.student_response.scores) if semantics == "released" else 1)


@pytest.mark.parametrize(("knowledge", "semantics"), CASES)
def test_zero_at_equality_and_above_elsewhere(
    knowledge: Knowledge,
    semantics: str,
    make_views: MakeViews,
    imitate: Callable[[Views], Views],
    says_nothing: Callable[[Genome, str], bool],
):
    views = make_views()
    same = imitate(views)
    for genome in genomes(knowledge, semantics):
        best = optimum(genome, views, semantics)
        if not draws_apart(genome, semantics):
            assert float(evaluate(genome, semantics, same)) == pytest.approx(best, abs=1e-6), genome
        if not says_nothing(genome, semantics):
            assert float(evaluate(genome, semantics, views)) > best + 1e-4, genome


@pytest.mark.parametrize(("knowledge", "semantics"), CASES)
@pytest.mark.parametrize("shape", list(SHAPES))
def test_finite_on_awkward_shapes(
    shape: str,
    knowledge: Knowledge,
    semantics: str,
    make_views: MakeViews,
    gradients: Callable[[Tensor, Views], list[Tensor]],
    imitate: Callable[[Views], Views],
):
    views = make_views(requires_grad=True, **SHAPES[shape])
    same = imitate(views)
    for genome in genomes(knowledge, semantics):
        loss = evaluate(genome, semantics, views)
        assert bool(loss.isfinite()), genome
        assert all(bool(gradient.isfinite().all()) for gradient in gradients(loss, views)), genome
        if not draws_apart(genome, semantics):
            assert float(evaluate(genome, semantics, same)) == pytest.approx(optimum(genome, views, semantics), abs=1e-6), genome


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("knowledge", "semantics"), CASES)
def test_finite_on_awkward_shapes_in_half_precision(
    knowledge: Knowledge,
    semantics: str,
    dtype: torch.dtype,
    make_views: MakeViews,
    gradients: Callable[[Tensor, Views], list[Tensor]],
    imitate: Callable[[Views], Views],
):
    for shape in SHAPES.values():
        views = make_views(dtype=dtype, requires_grad=True, **shape)
        same = imitate(views)
        for genome in few_genomes(knowledge, semantics):
            loss = evaluate(genome, semantics, views)
            assert bool(loss.isfinite()), genome
            # The gradient arrives in the student's own precision, where more than 65504 would be infinite.
            assert all(bool(gradient.isfinite().all()) for gradient in gradients(loss, views)), genome
            if not draws_apart(genome, semantics):
                assert float(evaluate(genome, semantics, same)) == pytest.approx(optimum(genome, views, semantics), abs=1e-6), genome


@pytest.mark.parametrize(("factor", "dtype"), [(1e-4, torch.float32), (1e3, torch.float32), (1e3, torch.float16)], ids=str)
@pytest.mark.parametrize(("knowledge", "semantics"), CASES)
def test_finite_for_very_small_and_very_large_features(
    knowledge: Knowledge,
    semantics: str,
    factor: float,
    dtype: torch.dtype,
    make_views: MakeViews,
    gradients: Callable[[Tensor, Views], list[Tensor]],
    leaves_of: Callable[[Views], list[Tensor]],
):
    views = make_views(dtype=dtype)
    response = views.student_response
    assert response is not None
    for level in (*views.student_levels, *views.teacher_levels, *views.generated):
        level.mul_(factor)
    for tensor in leaves_of(views):
        tensor.requires_grad_()
    for genome in genomes(knowledge, semantics) if dtype == torch.float32 else few_genomes(knowledge, semantics):
        loss = evaluate(genome, semantics, views)
        assert bool(loss.isfinite()), genome
        assert all(bool(gradient.isfinite().all()) for gradient in gradients(loss, views)), genome


@pytest.mark.parametrize(("knowledge", "semantics"), CASES)
def test_dead_maps_are_finite(
    knowledge: Knowledge,
    semantics: str,
    make_views: MakeViews,
    gradients: Callable[[Tensor, Views], list[Tensor]],
    leaves_of: Callable[[Views], list[Tensor]],
):
    views = make_views()
    response = views.student_response
    assert response is not None
    for tensor in (*views.student_levels, *response.scores, *views.generated):
        tensor.zero_()
    for tensor in leaves_of(views):
        tensor.requires_grad_()
    for genome in genomes(knowledge, semantics):
        loss = evaluate(genome, semantics, views)
        assert bool(loss.isfinite()), genome
        assert all(bool(gradient.isfinite().all()) for gradient in gradients(loss, views)), genome


@pytest.mark.parametrize("semantics", SEMANTICS)
def test_no_value_is_asked_of_the_device(semantics: str, make_views: MakeViews):
    """Fake tensors have no values: an `.item()`, a boolean index or a branch on a tensor, which make a GPU wait, would raise."""
    real = make_views(requires_grad=True)
    with FakeTensorMode() as mode:
        sides = (real.student_response, real.teacher_response)
        student, teacher = (side.apply(mode.from_tensor) for side in sides if side is not None)
        levels = fake(mode, real.student_levels), fake(mode, real.teacher_levels)
        generated = fake(mode, real.generated)
        views = Views(*levels, real.strides, fake(mode, real.boxes), real.batch_shape, student, teacher, generated)
        for knowledge in Knowledge:
            for genome in few_genomes(knowledge, semantics):
                evaluate(genome, semantics, views).backward()


def fake(mode: FakeTensorMode, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(mode.from_tensor(tensor) for tensor in tensors)


@pytest.mark.parametrize(("knowledge", "semantics"), CASES)
def test_descent_lowers_the_loss(
    knowledge: Knowledge,
    semantics: str,
    make_views: MakeViews,
    gradients: Callable[[Tensor, Views], list[Tensor]],
    leaves_of: Callable[[Views], list[Tensor]],
    says_nothing: Callable[[Genome, str], bool],
):
    """Also says that value and gradient belong together."""
    views = make_views(requires_grad=True)
    leaves = leaves_of(views)
    for genome in genomes(knowledge, semantics):
        if says_nothing(genome, semantics):
            continue
        loss = evaluate(genome, semantics, views)
        slope = gradients(loss, views)
        length = float(torch.stack([gradient.square().sum() for gradient in slope]).sum().sqrt())
        after = [evaluate_after(genome, semantics, views, leaves, slope, step / length) for step in (1e-3, 1e-4)]
        assert min(after) < float(loss.detach()), genome


def evaluate_after(genome: Genome, semantics: str, views: Views, leaves: list[Tensor], slope: list[Tensor], step: float) -> float:
    """The loss a step down the slope; the leaves are put back."""
    before = [leaf.detach().clone() for leaf in leaves]
    with torch.no_grad():
        for leaf, gradient in zip(leaves, slope, strict=True):
            leaf.sub_(step * gradient)
        moved = float(evaluate(genome, semantics, views))
        for leaf, value in zip(leaves, before, strict=True):
            leaf.copy_(value)
    return moved
