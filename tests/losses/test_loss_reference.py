"""The library and the plain reference of the benchmarks give the same losses and gradients, word by word."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from detkds.genome import Genome, Knowledge, Recipe
from detkds.genome.words import vocabulary
from detkds.losses import RecipeLoss, Views

BENCHMARKS = Path(__file__).parents[2] / "benchmarks" / "losses"


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("reference")


def genomes(knowledge: Knowledge) -> list[Genome]:
    """Every word of the paper beside every distance, with the other slots filled."""
    slots = vocabulary(knowledge, "paper")
    filled = {"attention": "satt", "scale": "local_2", "norm": "norm_C", "transform": "none"}
    found = []
    for distance in slots["distance"]:
        base = Genome(knowledge, tuple(filled[slot] for slot in slots if slot != "distance"), distance)
        found += [base.with_slot(slot, word) for slot, words in slots.items() if slot != "distance" for word in words]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("knowledge", list(Knowledge))
def test_agrees_with_the_reference(
    knowledge: Knowledge, reference: ModuleType, make_views: Callable[..., Views], gradients: Callable[[Tensor, Views], list[Tensor]]
):
    views = make_views(requires_grad=True)
    for genome in genomes(knowledge):
        recipe = Recipe((genome.with_weight(2),))
        loss, expected = RecipeLoss(recipe)(views, 3)[knowledge], reference.recipe_loss(recipe, views, 3)[knowledge]
        assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=2e-4, abs=1e-6), genome
        ours, plain = (torch.cat([one.flatten() for one in gradients(value, views)]) for value in (loss, expected))
        assert float((ours - plain).norm()) <= 5e-3 * float(plain.norm()) + 1e-6, genome
