"""Frozen values of the losses on fixed views: a refactor changes no number.

After a change of meaning, write them again and say so in the commit:
`DETKDS_REGENERATE=1 python -m pytest tests/losses/test_loss_golden.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from detkds.genome import SLOTS, Genome, Knowledge, Recipe
from detkds.genome.words import vocabulary
from detkds.losses import RecipeLoss, Views

GOLDEN = Path(__file__).parents[1] / "golden" / "losses"


def frozen_genomes(knowledge: Knowledge, semantics: str) -> list[Genome]:
    """Each word once in an otherwise ordinary genome."""
    transforms = ("catt", "scale_2", "norm_C") if knowledge.is_feature else ("none",)
    base = Genome(knowledge, transforms, SLOTS[knowledge]["distance"][0], 2.0)
    varied = [base.with_slot(slot, word) for slot, words in SLOTS[knowledge].items() for word in words]
    offered = vocabulary(knowledge, semantics=semantics)["distance"]
    return [genome for genome in dict.fromkeys(varied) if genome.distance in offered]


@pytest.mark.parametrize("semantics", ["paper", "released"])
def test_losses_and_gradients_are_the_frozen_ones(
    semantics: str, make_views: Callable[..., Views], gradients: Callable[[torch.Tensor, Views], list[torch.Tensor]]
):
    views = make_views(requires_grad=True)
    values = {}
    for knowledge in Knowledge:
        for genome in frozen_genomes(knowledge, semantics):
            loss = RecipeLoss(Recipe((genome,), semantics))(views, 7)[knowledge]
            length = torch.stack([gradient.square().sum() for gradient in gradients(loss, views)]).sum().sqrt()
            values[str(genome)] = {"loss": round(float(loss.detach()), 7), "gradient": round(float(length), 7)}
    path = GOLDEN / f"{semantics}.json"
    if os.environ.get("DETKDS_REGENERATE"):
        path.write_text(json.dumps(values, indent=1) + "\n")
    frozen = json.loads(path.read_text())
    assert list(values) == list(frozen)
    for name, value in values.items():
        assert value == pytest.approx(frozen[name], rel=1e-4, abs=1e-6), name
