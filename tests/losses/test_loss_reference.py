"""The library and the plain reference of the benchmarks give the same losses and gradients, word by word."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from detkds.genome import SLOTS, Genome, Knowledge, Recipe
from detkds.losses import RecipeLoss, Views

REFERENCE = Path(__file__).parents[2] / "benchmarks" / "losses" / "reference.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain_reference", REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def genomes(knowledge: Knowledge) -> list[Genome]:
    """Every word beside every distance, with the other slots filled."""
    slots = SLOTS[knowledge]
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
