"""Every designer keeps the contract of designers."""

from __future__ import annotations

from dataclasses import replace

from detkds.genome import Genome, Knowledge
from detkds.search import Designer, Evolution, RandomSearch, SearchSettings, SearchSpace, WeightSearch
from detkds.testing import DesignerContract

SETTINGS = SearchSettings(population=6, iterations=5, sample_ratio=0.9, top_k=3)
AT_ONCE = replace(SETTINGS, iterations_at_once=3)
SPACE = SearchSpace.preset()
FOUND = [
    Genome.parse("global: catt > scale_2 > norm_N | l1 x 5"),
    Genome.parse("instance: none > none > none | l2 x 2"),
    Genome.parse("logits: softmax_C | pearson x 0.5"),
]


class TestEvolution(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return Evolution(SPACE, Knowledge.GLOBAL, SETTINGS, seed)


class TestEvolutionOfIterationsAtOnce(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return Evolution(SPACE, Knowledge.GLOBAL, AT_ONCE, seed)


class TestEvolutionOfLocalizationReleased(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return Evolution(SearchSpace.preset(semantics="released"), Knowledge.LOCALIZATION, SETTINGS, seed)


class TestRandomSearch(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Designer:
        return RandomSearch(SPACE, Knowledge.GLOBAL, SETTINGS, seed)


class TestWeightSearch(DesignerContract):
    candidates = 6 + 5

    def make(self, seed: int = 0) -> Designer:
        return WeightSearch(FOUND, SPACE, SETTINGS, seed)


class TestWeightSearchOfIterationsAtOnce(DesignerContract):
    candidates = 6 + 5

    def make(self, seed: int = 0) -> Designer:
        return WeightSearch(FOUND, SPACE, AT_ONCE, seed)
