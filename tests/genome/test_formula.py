"""Formulas in plain text."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest

from detkds.errors import GenomeError
from detkds.genome import SLOTS, Genome, Knowledge
from detkds.genome.formula import formula


def test_a_formula_reads_from_the_loss_to_the_distance():
    assert formula(Genome.parse("global: catt > scale_2 > norm_C | l1 x 6")).splitlines() == [
        "L_global = 6 · D(s, t) on whole neck levels, mean over levels",
        "s = norm_C(scale_2(catt(f))) of the student, t of the teacher",
        "catt(f) = f · C · softmax over C of (mean over H, W of |f|) / τ, τ = 0.5",
        "scale_2(f) = 2×2 max pooling",
        "norm_C(f) = (f − μ) / √(σ² + ε) over C",
        "D = mean |s − t|",
    ]


def test_empty_slots_do_not_appear():
    assert formula(Genome.parse("instance: none > local_1 > none | cosine")).splitlines()[1:] == [
        "s = f of the student, t of the teacher",
        "D = 1 − cos(s, t) over C",
    ]


@pytest.mark.parametrize("semantics", ["paper", "released"])
@pytest.mark.parametrize("knowledge", list(Knowledge))
def test_every_word_has_a_formula_of_its_own(knowledge: Knowledge, semantics: str):
    genomes = [Genome(knowledge, tuple(words), distance) for *words, distance in product(*SLOTS[knowledge].values())]
    texts = {formula(genome, semantics) for genome in genomes}
    # scale_1 and local_1 read like none: 5 of the 7 scales are left.
    assert len(texts) == (len(genomes) * 5 // 7 if knowledge.is_feature else len(genomes))


def test_semantics_change_the_formula():
    genome = Genome.parse("global: satt > local_2 > norm_HW | pearson")
    assert "√(H·W · softmax" in formula(genome, "released")
    assert "√(H·W · softmax" not in formula(genome, "paper")
    assert "over C" in formula(genome, "released").splitlines()[-1]
    with pytest.raises(GenomeError, match="did you mean released"):
        formula(genome, "release")


def test_constants_are_those_of_the_losses():
    from detkds.losses import distances, features
    from detkds.losses.transforms import attention

    assert f"τ = {attention.TAU}" in formula(Genome.parse("global: satt > none > none | l1"))
    assert f"λ = {attention.LAMBDA}" in formula(Genome.parse("global: mask > none > none | l1"))
    assert f"τ = {distances.TAU:g}" in formula(Genome.parse("global: none > none > none | kl"))
    assert f"α = {distances.ALPHA}" in formula(Genome.parse("logits: none | cor"))
    assert f"{features.CROP_SIZE}×" in formula(Genome.parse("instance: none > none > none | l1"))
    assert f"{features.RELEASED_CROP_SIZE}×" in formula(Genome.parse("instance: none > none > none | l1"), "released")
    assert features.BACKGROUND_SHARE == 0.5


def test_needs_no_torch():
    code = "import sys, detkds.genome.formula; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
