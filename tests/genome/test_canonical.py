"""Canonical form: the rules one by one, and idempotence over every genome there is."""

from __future__ import annotations

import itertools

import pytest

from detkds.genome import SLOTS, Genome, Knowledge, Recipe, canonical

FORMS = [
    Genome(knowledge, tuple(words[:-1]), words[-1]) for knowledge, slots in SLOTS.items() for words in itertools.product(*slots.values())
]


@pytest.mark.parametrize("semantics", ["paper", "released"])
def test_a_canonical_form_is_its_own_and_keeps_knowledge(semantics: str) -> None:
    # attentions 4 and 8 ours, of fgbg and instance one more; scales 7; norms 6 and softmax; distances 7
    assert len(FORMS) == (12 + 13 + 13) * 7 * 7 * 7 + 11 * 9 + 6 * 6
    for form in FORMS:
        folded = canonical(form, semantics)
        assert canonical(folded, semantics) == folded
        assert folded.knowledge is form.knowledge


def test_folding_scales_the_weight_by_a_factor_of_the_form() -> None:
    for form in FORMS:
        folded = canonical(form)
        assert folded.weight in (1.0, 2.0)
        assert canonical(form.with_weight(5)) == folded.with_weight(5 * folded.weight)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("global: none > scale_1 > none | l1", "global: none > none > none | l1"),
        ("instance: mask > local_1 > norm_N | ssim", "instance: mask > none > norm_N | ssim"),
        # but for the epsilon of what follows catt would be lost here; on real features the gradients differ by up to 262 %
        ("global: catt > scale_2 > norm_HW | l1 x 5", "global: catt > scale_2 > norm_HW | l1 x 5"),
        ("fgbg: catt > none > none | pearson", "fgbg: catt > none > none | pearson"),
        ("global: satt > none > norm_C | l1", "global: satt > none > norm_C | l1"),
        # |a - b|^2 = 2 - 2 corr for standardised a, b
        ("global: none > none > norm_HW | l2 x 5", "global: none > none > none | pearson x 10"),
        ("global: none > scale_4 > norm_HW | l2 x 0.1", "global: none > scale_4 > none | pearson x 0.2"),
        ("instance: mask > none > norm_HW | l2", "instance: mask > none > none | pearson x 2"),
        ("fgbg: none > none > norm_HW | l2 x 5", "fgbg: none > none > norm_HW | l2 x 5"),
        ("global: none > local_2 > norm_HW | l2 x 5", "global: none > local_2 > norm_HW | l2 x 5"),
        # nor is the norm lost under a correlation
        ("global: satt > none > norm_minmax | pearson", "global: satt > none > norm_minmax | pearson"),
        # patches only regroup what is compared entry by entry
        ("global: none > local_4 > none | smooth_l1", "global: none > none > none | smooth_l1"),
        ("global: satt > local_2 > norm_C | l2", "global: satt > none > norm_C | l2"),
        ("global: none > local_2 > norm_batch | l2", "global: none > local_2 > norm_batch | l2"),
        ("global: none > local_2 > none | ssim", "global: none > local_2 > none | ssim"),
        ("logits: reshape_C | l1", "logits: none | l1"),
        ("logits: reshape_N | kl", "logits: reshape_N | kl"),
        ("localization: pow2 | giou", "localization: pow2 | giou"),
        # weights of positions, where the distance does not look at them; an average by scores is not a correlation
        ("global: score > scale_2 > none | kl", "global: none > scale_2 > none | kl"),
        ("global: score > none > norm_HW | pearson", "global: none > none > norm_HW | pearson"),
        ("global: score > none > norm_HW | l2", "global: score > none > norm_HW | l2"),
        ("fgbg: even > none > norm_N | ssim bg 4", "fgbg: none > none > norm_N | ssim bg 4"),
        ("fgbg: even > local_2 > none | l2", "fgbg: even > none > none | l2"),
        ("global: tatt > none > norm_HW | l2 x 5", "global: tatt > none > none | pearson x 10"),
        ("logits: score | cor", "logits: none | cor"),
        ("logits: reshape_N | bce", "logits: none | bce"),
        ("localization: sigmoid | kl", "localization: none | kl"),
        ("localization: cross | kl", "localization: cross | kl"),
        ("logits: reshape_C | qfl", "logits: none | qfl"),
        ("logits: cross | qfl", "logits: cross | qfl"),
    ],
)
def test_a_rule(text: str, folded: str) -> None:
    assert canonical(Genome.parse(text)) == Genome.parse(folded)


def test_released_folds_the_empty_scales_only() -> None:
    for form in FORMS:
        words = {slot: "none" if word in ("scale_1", "local_1") else word for slot, word in form.slots.items()}
        assert canonical(form, "released").slots == words


def test_every_valid_weight_has_a_digest() -> None:
    # doubled, 600 would be above the largest weight, so this one stays what it is
    genome = Genome.parse("global: none > none > norm_HW | l2 x 600")
    assert str(canonical(genome)) == "global: none > none > norm_HW | l2 x 600"
    assert canonical(genome.with_weight(500)).weight == 1000
    assert Recipe((genome,)).digest != Recipe((genome.with_weight(601),)).digest


def test_knowledge_is_named_in_the_order_of_equation_1() -> None:
    assert [str(knowledge) for knowledge in Knowledge] == ["global", "fgbg", "instance", "logits", "localization"]
