"""What a search decides of a loss beside its weight."""

from __future__ import annotations

from detkds.genome import Genome, Knowledge
from detkds.genome.decisions import decided, decisions, in_order

PLAIN = Genome.parse("fgbg: none > none > norm_C | l1 x 2")


def test_decisions_are_the_words_the_background_and_the_images() -> None:
    slots = {"attention": "none", "scale": "none", "norm": "norm_C", "distance": "l1"}
    assert decisions(PLAIN) == {**slots, "background": "0.5", "images": "all"}
    assert decisions(PLAIN.with_background(4).with_labelled(True)) == {**slots, "background": "4", "images": "labelled"}


def test_beside_the_slots_only_that_is_decided_in_which_genomes_differ() -> None:
    slots = ("attention", "scale", "norm", "distance")
    assert decided(Knowledge.FGBG, []) == slots
    assert decided(Knowledge.FGBG, [PLAIN, PLAIN.with_weight(8)]) == slots
    assert decided(Knowledge.FGBG, [PLAIN, PLAIN.with_labelled(True)]) == (*slots, "images")
    assert decided(Knowledge.FGBG, [PLAIN, PLAIN.with_background(4), PLAIN.with_labelled(True)]) == (*slots, "background", "images")
    other = Genome.parse("logits: none | l2 on labelled")
    assert decided(Knowledge.FGBG, [PLAIN, other]) == slots, "a loss of another knowledge decides nothing here"


def test_what_was_used_is_in_the_order_of_the_vocabulary_or_by_size() -> None:
    assert in_order(Knowledge.FGBG, "distance", {"l2", "l1", "pearson"}) == ["l1", "l2", "pearson"]
    assert in_order(Knowledge.FGBG, "background", {"10", "0.5", "4"}) == ["0.5", "4", "10"]
    assert in_order(Knowledge.FGBG, "images", {"labelled", "all"}) == ["all", "labelled"]
