"""Formulas in plain text."""

from __future__ import annotations

import subprocess
import sys

import pytest

from detkds.errors import GenomeError
from detkds.genome import SLOTS, Genome, Knowledge
from detkds.genome.formula import formula, tex


def test_a_formula_reads_from_the_loss_to_the_distance():
    assert formula(Genome.parse("global: catt > scale_2 > norm_C | l1 x 6")).splitlines() == [
        "L_global = 6 · D(s, t) on whole neck levels, mean over levels",
        "s = norm_C(scale_2(catt(f))) of the student, t of the teacher",
        "catt(f) = f · C · softmax_C(mean_HW |f| / τ), τ = 0.5",
        "scale_2(f) = 2 × 2 max pooling",
        "norm_C(f) = (f − μ) / √(σ² + ε) over C",
        "D = mean of |s − t|",
    ]


def test_the_same_lines_as_tex():
    assert tex(Genome.parse("localization: sigmoid | iou x 0.5")) == (
        r"$L_{\text{localization}} = 0.5 \cdot D(s, t)$ on box sides, weighted by the teacher's scores, mean over levels",
        r"$s = \text{sigmoid}(f)$ of the student, $t$ of the teacher",
        r"$\text{sigmoid}(f) =$ $\frac{1}{1 + e^{-f}}$",
        r"$D =$ $1 - \mathrm{IoU}$",
    )


def test_empty_slots_do_not_appear():
    assert formula(Genome.parse("instance: none > local_1 > none | cosine")).splitlines()[1:] == [
        "s = f of the student, t of the teacher",
        "D = 1 − cos(s, t) over C",
    ]


@pytest.mark.parametrize("semantics", ["paper", "released"])
@pytest.mark.parametrize("knowledge", list(Knowledge))
def test_every_word_has_a_formula_of_its_own(knowledge: Knowledge, semantics: str):
    words = [words[0] for words in SLOTS[knowledge].values()]
    base = Genome(knowledge, tuple(words[:-1]), words[-1])
    for slot, vocabulary in SLOTS[knowledge].items():
        texts = {formula(base.with_slot(slot, word), semantics) for word in vocabulary}
        # scale_1 and local_1 read like none
        assert len(texts) == len(vocabulary) - 2 * (slot == "scale")


def test_semantics_change_the_formula():
    genome = Genome.parse("global: satt > local_2 > norm_HW | pearson")
    assert "√(HW · softmax" in formula(genome, "released")
    assert "√(HW · softmax" not in formula(genome, "paper")
    assert "over C" in formula(genome, "released").splitlines()[-1]
    with pytest.raises(GenomeError, match="did you mean released"):
        formula(genome, "release")


def test_constants_are_those_of_the_losses():
    from detkds.losses import distances, features, general, published
    from detkds.losses.transforms import attention

    assert f"τ = {attention.TAU}" in formula(Genome.parse("global: satt > none > none | l1"))
    assert f"λ = {attention.LAMBDA}" in formula(Genome.parse("global: mask > none > none | l1"))
    assert f"τ = {distances.TAU:g}" in formula(Genome.parse("global: none > none > none | kl"))
    assert f"τ = {distances.BINS_TAU:g}" in formula(Genome.parse("localization: none | kl"))
    assert f"the {general.COUNT} places" in formula(Genome.parse("instance: general > none > none | l1"))
    assert f"λ = {attention.LAMBDA}" in formula(Genome.parse("global: generate > none > none | l2"))
    assert f"α = {distances.ALPHA}" in formula(Genome.parse("logits: none | cor"))
    assert f"{features.CROP_SIZE} × {features.CROP_SIZE} crops" in formula(Genome.parse("instance: none > none > none | l1"))
    assert f"{published.BINS} × " in formula(Genome.parse("instance: none > none > none | l1"), "released")
    assert "½ D_bg" in formula(Genome.parse("fgbg: none > none > none | l1"))
    assert "+ 4 · D_bg" in formula(Genome.parse("fgbg: none > none > none | l1 x 1 bg 4"))


def test_needs_no_torch():
    code = "import sys, detkds.genome.formula; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
