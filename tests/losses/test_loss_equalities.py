"""The folds of detkds.genome.canonical hold for the losses: same value up to the stated weight, same gradient.

The folds are exact but for the norms' ε. So features come in thousands, and the attentions' temperature with them, which is the same
as an ε a million times smaller; in float64, as such features leave rounding on the other side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from detkds.genome import SLOTS, Genome, Knowledge, canonical
from detkds.genome.words import vocabulary
from detkds.losses import DistillLoss, Views
from detkds.losses.transforms import attention

FACTOR = 1000.0


def folded(knowledge: Knowledge, semantics: str) -> list[tuple[Genome, Genome]]:
    """All genomes that canonical changes, with what they become; of the words for no scale one is enough, and none beside those of the
    extended space."""
    paper = dict(vocabulary(knowledge, "paper"))
    paper |= {"scale": (*paper["scale"], "scale_1")} if knowledge.is_feature else {}
    every = {**SLOTS[knowledge], **({"scale": ("none",)} if knowledge.is_feature else {})}
    pairs = []
    for *transforms, distance in dict.fromkeys([*product(*paper.values()), *product(*every.values())]):
        if semantics == "released" and distance not in ("l1", "l2", "smooth_l1", "pearson"):
            continue
        genome = Genome(knowledge, tuple(transforms), distance, 3.0)
        plain = genome.with_slot("scale", "none") if genome.slots.get("scale") == "scale_1" else genome
        if canonical(genome, semantics) != plain or (plain != genome and distance == "l1"):
            pairs.append((genome, canonical(genome, semantics)))
    return pairs


@pytest.mark.parametrize("semantics", ["paper", "released"])
@pytest.mark.parametrize("knowledge", [Knowledge.GLOBAL, Knowledge.FGBG, Knowledge.INSTANCE, Knowledge.LOGITS])
def test_folded_genomes_train_alike(
    knowledge: Knowledge,
    semantics: str,
    make_views: Callable[..., Views],
    says_nothing: Callable[[Genome, str], bool],
    monkeypatch: pytest.MonkeyPatch,
):
    pairs = [pair for pair in folded(knowledge, semantics) if not says_nothing(pair[0], semantics)]
    assert bool(pairs) == (knowledge.is_feature or semantics == "paper")
    monkeypatch.setattr(attention, "TAU", attention.TAU * FACTOR)
    views = enlarged(make_views(channels=4))
    for genome, representative in pairs:
        loss, gradient = differentiate(genome, semantics, views)
        expected, expected_gradient = differentiate(representative, semantics, views)
        assert loss == pytest.approx(expected, rel=1e-4), (str(genome), str(representative))
        error = float((gradient - expected_gradient).norm() / expected_gradient.norm())
        # Masked positions, where both sides are 0, leave the sign of a rounding error as the gradient of an l1.
        assert error < 0.02, (str(genome), str(representative), error)


def enlarged(views: Views) -> Views:
    student = tuple((FACTOR * level.double()).requires_grad_() for level in views.student_levels)
    teacher = tuple(FACTOR * level.double() for level in views.teacher_levels)
    generated = views.changed(lambda level: (FACTOR * level.double()).requires_grad_())
    response = views.student_response
    assert response is not None
    scores = tuple(score.requires_grad_() for score in response.scores)
    boxes = tuple(box.double() for box in views.boxes)
    head = replace(response, scores=scores)
    return replace(views, student_levels=student, teacher_levels=teacher, generated=generated, boxes=boxes, student_response=head)


def differentiate(genome: Genome, semantics: str, views: Views) -> tuple[float, Tensor]:
    loss = DistillLoss(genome, semantics)(views, 3)
    response = views.student_response
    assert response is not None
    features = views.generated[genome.trained_word].student if genome.trained_word else views.student_levels
    leaves = features if genome.knowledge.is_feature else response.scores
    return float(loss.detach()), torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, leaves)])
