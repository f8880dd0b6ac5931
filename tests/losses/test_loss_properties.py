"""What every word of the project keeps, by the contract of losses that plugins keep too.

In float32 each word is tried in its slot beside every distance, so that no word is met only in one company; on each awkward shape each word
beside one distance and each distance alone. Every other combination meets two of the ten awkward shapes. In half precision, which the
losses leave at once, each word beside one distance meets the usual shape and two others. With DETKDS_EVERY_SHAPE=1 all meet all ten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import pytest

from detkds.genome import SLOTS, Genome, Knowledge
from detkds.genome.words import vocabulary
from detkds.losses import Views
from detkds.losses.trained import MODULES
from detkds.testing import DistanceContract, LossContract, RegionContract, TransformContract
from detkds.testing.losses import SHAPE_NAMES, Case

SEMANTICS = ("paper", "released")
CASES = [pytest.param((knowledge, semantics), id=f"{semantics}-{knowledge}") for semantics in SEMANTICS for knowledge in Knowledge]

TURNS = 1 if os.environ.get("DETKDS_EVERY_SHAPE") == "1" else 5
"""Of so many combinations of words one meets a shape; the next shape takes the next one."""

ALIKE = set(MODULES) - {"generate"}
"""Words whose views are made before a loss sees them are one word to the losses; `generate` stands for them."""


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
                yield from (plain.with_slot(slot, word) for word in slots[slot] if word not in ALIKE)
        if knowledge.is_feature:
            for chain in (("catt", "scale_2", "norm_N"), ("satt", "scale_4", "norm_minmax"), ("mask", "local_4", "norm_HW")):
                yield from (Genome(knowledge, chain, distance) for distance in distances)

    return list(dict.fromkeys(combinations()))


class TestEveryWord(LossContract):
    @pytest.fixture(params=CASES)
    def of(self, request: pytest.FixtureRequest) -> tuple[Knowledge, str]:
        found: tuple[Knowledge, str] = request.param
        return found

    @pytest.fixture
    def cases(self, of: tuple[Knowledge, str]) -> Sequence[Case]:
        return [(genome, of[1]) for genome in genomes(*of)]

    @pytest.fixture
    def few_cases(self, of: tuple[Knowledge, str]) -> Sequence[Case]:
        return [(genome, of[1]) for genome in few_genomes(*of)]

    @pytest.fixture
    def cases_of_shape(self, shape: str, cases: Sequence[Case], few_cases: Sequence[Case]) -> Sequence[Case]:
        few, turn = set(few_cases), SHAPE_NAMES.index(shape) % TURNS
        return [case for number, case in enumerate(cases) if case in few or number % TURNS == turn]

    def half_cases(self, shape: str, few_cases: Sequence[Case]) -> Sequence[Case]:
        number = SHAPE_NAMES.index(shape)
        return [case for place, case in enumerate(few_cases) if number == 0 or place % TURNS == number % TURNS]

    @pytest.fixture(autouse=True)
    def _says_nothing(self, says_nothing: Callable[[Genome, str], bool]) -> None:
        self._empty = says_nothing

    def says_nothing(self, case: Case) -> bool:
        return self._empty(*case)

    def is_random(self, case: Case) -> bool:
        """The published mask hides different places of student and teacher."""
        return case[1] == "released" and case[0].slots.get("attention") == "mask"

    def optimum(self, case: Case, views: Views) -> float:
        """0, but for cor."""
        genome, semantics = case
        assert views.student_response is not None
        levels = len(views.student_response.scores) if semantics == "released" else 1
        return -10.0 * levels if genome.distance == "cor" else 0.0


class TestSmoothL1(DistanceContract):
    """A plugin's author subclasses like this."""

    word = "smooth_l1"


class TestNormMinmax(TransformContract):
    word = "norm_minmax"


class TestEven(RegionContract):
    word = "even"
