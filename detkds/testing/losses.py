"""The contract of losses: 0 at equality, above elsewhere, finite values and gradients on awkward shapes and in half precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from detkds.genome import SLOTS, Genome, Knowledge, Recipe
from detkds.genome.vocabulary import FEATURES
from detkds.genome.words import vocabulary
from detkds.losses import RecipeLoss, Views
from detkds.testing.views import generated_levels, gradients_of, imitated, random_views, student_tensors

Case = tuple[Genome, str]
"""A genome and the semantics that gives it meaning."""

SHAPES: dict[str, dict[str, Any]] = {
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


SHAPE_NAMES = list(SHAPES)


def evaluate(case: Case, views: Views) -> Tensor:
    """The loss of a genome at step 3."""
    genome, semantics = case
    return RecipeLoss(Recipe((genome,), semantics))(views, 3)[genome.knowledge]


class LossContract:
    """What every loss keeps. A subclass has the fixture `cases`, and may say which of them leave nothing to compare."""

    @pytest.fixture
    def cases(self) -> Sequence[Case]:
        """The genomes to try, each with a semantics."""
        raise NotImplementedError("a subclass gives the cases")

    @pytest.fixture
    def few_cases(self, cases: Sequence[Case]) -> Sequence[Case]:
        """Those that are tried in half precision, which the losses leave at once."""
        return cases

    @pytest.fixture
    def cases_of_shape(self, shape: str, cases: Sequence[Case]) -> Sequence[Case]:
        """Those that are tried on one of the awkward shapes."""
        return cases

    def half_cases(self, shape: str, few_cases: Sequence[Case]) -> Sequence[Case]:
        """Those that are tried in half precision on one of the awkward shapes."""
        return few_cases

    def optimum(self, case: Case, views: Views) -> float:
        """The value at equality."""
        return 0.0

    def says_nothing(self, case: Case) -> bool:
        """Whether the words leave nothing to compare."""
        return False

    def is_random(self, case: Case) -> bool:
        """Whether student and teacher are changed by draws of their own, so that equality is not 0."""
        return False

    def test_zero_at_equality_and_above_elsewhere(self, cases: Sequence[Case]) -> None:
        views = random_views()
        same = imitated(views)
        for case in cases:
            best = self.optimum(case, views)
            if not self.is_random(case):
                assert float(evaluate(case, same)) == pytest.approx(best, abs=1e-6), case
            if not self.says_nothing(case):
                assert float(evaluate(case, views)) > best + 1e-6, case

    @pytest.mark.parametrize("shape", SHAPE_NAMES)
    def test_finite_on_awkward_shapes(self, shape: str, cases_of_shape: Sequence[Case]) -> None:
        self._finite(random_views(requires_grad=True, **SHAPES[shape]), cases_of_shape)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_finite_on_awkward_shapes_in_half_precision(self, dtype: torch.dtype, few_cases: Sequence[Case]) -> None:
        # The gradient arrives in the student's own precision, where more than 65504 would be infinite.
        for name, shape in SHAPES.items():
            self._finite(random_views(dtype=dtype, requires_grad=True, **shape), self.half_cases(name, few_cases))

    def _finite(self, views: Views, cases: Sequence[Case]) -> None:
        same = imitated(views)
        for case in cases:
            check_finite(case, views)
            if not self.is_random(case):
                assert float(evaluate(case, same)) == pytest.approx(self.optimum(case, views), abs=1e-6), case

    @pytest.mark.parametrize(("factor", "dtype"), [(1e-4, torch.float32), (1e3, torch.float32), (1e3, torch.float16)], ids=str)
    def test_finite_for_very_small_and_very_large_features(
        self, factor: float, dtype: torch.dtype, cases: Sequence[Case], few_cases: Sequence[Case]
    ) -> None:
        views = random_views(dtype=dtype)
        for level in (*views.student_levels, *views.teacher_levels, *generated_levels(views)):
            level.mul_(factor)
        for tensor in student_tensors(views):
            tensor.requires_grad_()
        for case in cases if dtype == torch.float32 else few_cases:
            check_finite(case, views)

    def test_dead_maps_are_finite(self, cases: Sequence[Case]) -> None:
        views = random_views()
        assert views.student_response is not None
        assert views.crossed_response is not None
        for tensor in (
            *views.student_levels, *views.student_response.scores, *views.crossed_response.scores, *generated_levels(views)
        ):  # fmt: skip
            tensor.zero_()
        for tensor in student_tensors(views):
            tensor.requires_grad_()
        for case in cases:
            check_finite(case, views)

    def test_no_value_is_asked_of_the_device(self, few_cases: Sequence[Case]) -> None:
        """Fake tensors have no values: an `.item()`, a boolean index or a branch on a tensor, which make a GPU wait, would raise."""
        real = random_views(requires_grad=True)
        with FakeTensorMode() as mode:
            views = faked(mode, real)
            for case in few_cases:
                evaluate(case, views).backward()  # type: ignore[no-untyped-call]

    def test_descent_lowers_the_loss(self, cases: Sequence[Case]) -> None:
        """Also says that value and gradient belong together."""
        views = random_views(requires_grad=True)
        for case in cases:
            if not self.says_nothing(case):
                loss = evaluate(case, views)
                slope = gradients_of(loss, views)
                length = float(torch.stack([gradient.square().sum() for gradient in slope]).sum().sqrt())
                after = [_after(case, views, slope, step / length) for step in (1e-3, 1e-4)]
                assert min(after) < float(loss.detach()), case


class DistanceContract(LossContract):
    """The contract of a distance, in every knowledge that has it and under every semantics that gives it a meaning.

    A subclass sets `word`; `optimum` is overridden where a distance is not 0 at equality.
    """

    word: str
    slot = "distance"

    @pytest.fixture
    def cases(self) -> Sequence[Case]:
        """The distance alone, and behind the transforms of the project."""
        return list(dict.fromkeys(self._cases()))

    def _cases(self) -> Iterator[Case]:
        for knowledge in having(self.slot, self.word):
            empty = Genome(knowledge, ("none",) * (len(SLOTS[knowledge]) - 1), self.word)
            chains = [empty]
            if knowledge in FEATURES:
                chains += [replace(empty, transforms=chain) for chain in (("catt", "scale_2", "norm_N"), ("mask", "local_4", "norm_HW"))]
            for genome in chains:
                yield from ((genome, semantics) for semantics in genome.word(self.slot).semantics)

    def is_random(self, case: Case) -> bool:
        """The published mask hides different places of student and teacher."""
        return case[1] == "released" and case[0].slots.get("attention") == "mask"


class TransformContract(LossContract):
    """The contract of a transform: beside every distance, with the other slots empty. A subclass sets `word` and `slot`."""

    word: str
    slot: str = "norm"

    @pytest.fixture
    def cases(self) -> Sequence[Case]:
        """The transform before each distance."""
        return list(self._cases())

    def _cases(self) -> Iterator[Case]:
        for knowledge in having(self.slot, self.word):
            for semantics in ("paper", "released"):
                for distance in vocabulary(knowledge, semantics=semantics)["distance"]:
                    empty = Genome(knowledge, ("none",) * (len(SLOTS[knowledge]) - 1), distance)
                    if semantics in empty.with_slot(self.slot, self.word).word(self.slot).semantics and distance != "cor":
                        yield empty.with_slot(self.slot, self.word), semantics


class RegionContract(TransformContract):
    """The contract of a region of fgbg or instance. A subclass sets `word`."""

    slot = "attention"


def having(slot: str, word: str) -> list[Knowledge]:
    """The knowledges with a word in a slot."""
    found = [knowledge for knowledge in Knowledge if word in SLOTS[knowledge].get(slot, ())]
    assert found, f"no knowledge has the {slot} {word}; import the module that registers it."
    return found


def check_finite(case: Case, views: Views) -> None:
    """Value and gradient of a loss are finite."""
    loss = evaluate(case, views)
    assert bool(loss.isfinite()), case
    assert all(bool(gradient.isfinite().all()) for gradient in gradients_of(loss, views)), case


def faked(mode: FakeTensorMode, real: Views) -> Views:
    """The same views of tensors without values."""

    def fake(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(mode.from_tensor(tensor) for tensor in tensors)

    student, teacher = real.student_response, real.teacher_response
    return Views(
        fake(real.student_levels),
        fake(real.teacher_levels),
        real.strides,
        fake(real.boxes),
        real.batch_shape,
        student and student.apply(mode.from_tensor),
        teacher and teacher.apply(mode.from_tensor),
        real.crossed_response and real.crossed_response.apply(mode.from_tensor),
        generated=real.changed(mode.from_tensor),
    )


def _after(case: Case, views: Views, slope: Sequence[Tensor], step: float) -> float:
    """The loss a step down the slope; the student's tensors are put back."""
    leaves = student_tensors(views)
    before = [leaf.detach().clone() for leaf in leaves]
    with torch.no_grad():
        for leaf, gradient in zip(leaves, slope, strict=True):
            leaf.sub_(step * gradient)
        moved = float(evaluate(case, views))
        for leaf, value in zip(leaves, before, strict=True):
            leaf.copy_(value)
    return moved
