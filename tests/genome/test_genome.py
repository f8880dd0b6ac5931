"""Genome: text, JSON, did-you-mean."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detkds.errors import GenomeError
from detkds.genome import SLOTS, Genome, Knowledge, Recipe, canonical


@st.composite
def genomes(draw: st.DrawFn) -> Genome:
    knowledge = draw(st.sampled_from(Knowledge))
    *transforms, distance = (draw(st.sampled_from(words)) for words in SLOTS[knowledge].values())
    background = draw(st.floats(0, 1000)) if knowledge is Knowledge.FGBG else 0.5
    return Genome(knowledge, tuple(transforms), distance, draw(st.floats(0, 1000)), background, labelled=draw(st.booleans()))


@settings(deadline=None)
@given(genomes())
def test_text_and_json_read_back_as_the_same_genome(genome: Genome) -> None:
    assert Genome.parse(str(genome)) == genome
    assert Genome.from_json(json.loads(json.dumps(genome.to_json()))) == genome


def test_text_form() -> None:
    genome = Genome(Knowledge.GLOBAL, ("catt", "scale_2", "norm_N"), "l1", 6)
    assert str(genome) == "global: catt > scale_2 > norm_N | l1 x 6"
    assert str(Genome(Knowledge.LOGITS, ("none",), "cor", 0.1)) == "logits: none | cor x 0.1"


def test_a_loss_may_be_taken_of_labelled_images_alone() -> None:
    genome = Genome.parse("fgbg: none > none > none | l2 x 2 unit 3 bg 4 on labelled")
    assert (genome.weight, genome.unit, genome.background, genome.labelled) == (2, 3, 4, True)
    assert Genome.parse("global: none > none > none | l2 on labelled").labelled
    assert genome.to_json()["labelled"] is True
    assert genome.with_weight(3).with_slot("distance", "l1").labelled
    assert canonical(Genome.parse("global: none > none > norm_HW | l2 x 6 on labelled")) == Genome.parse(
        "global: none > none > none | pearson x 12 on labelled"
    )
    usual = genome.with_labelled(False)
    assert str(usual) == "fgbg: none > none > none | l2 x 2 unit 3 bg 4"
    assert "labelled" not in usual.to_json()
    assert Recipe((genome,)).digest != Recipe((usual,)).digest
    with pytest.raises(GenomeError, match="has the keys"):
        Genome.from_json({**genome.to_json(), "labelled": "yes"})


def test_fgbg_may_weigh_its_background() -> None:
    genome = Genome.parse("fgbg: even > none > none | l2 x 2 bg 4")
    assert (genome.weight, genome.background) == (2, 4)
    assert str(genome) == "fgbg: even > none > none | l2 x 2 bg 4"
    assert genome.to_json()["background"] == 4
    assert Genome.parse("fgbg: none > none > none | l2 bg 0.1").background == 0.1
    usual = Genome.parse("fgbg: none > none > none | l2 bg 0.5")
    assert usual == Genome.parse("fgbg: none > none > none | l2")
    assert str(usual).endswith("l2 x 1")
    assert "background" not in usual.to_json()
    assert genome.with_weight(3).with_slot("distance", "l1").background == 4


def test_words_say_what_they_need() -> None:
    assert not Genome.parse("global: tatt > none > none | l2").needs_responses
    assert Genome.parse("global: score > none > none | l2").needs_responses
    assert Genome.parse("instance: general > none > none | l2").needs_responses
    assert Genome.parse("logits: none | l2").needs_responses
    assert Genome.parse("global: generate > none > none | l2").trained_word == "generate"
    assert Genome.parse("logits: none | l2").trained_word == ""


def test_spaces_are_free_and_a_missing_weight_is_one() -> None:
    assert Genome.parse("  fgbg:none>none >norm_C|l2 ") == Genome(Knowledge.FGBG, ("none", "none", "norm_C"), "l2", 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("globl: none > none > none | l2", "unknown knowledge 'globl': did you mean global?"),
        ("global: cat > none > none | l2", "unknown global attention 'cat': did you mean catt?"),
        ("global: none > scale2 > none | l2", "unknown global scale 'scale2': did you mean scale_2?"),
        ("global: none > none > norm_bach | l2", "unknown global norm 'norm_bach': did you mean norm_batch?"),
        ("logits: none | person x 2", "unknown logits distance 'person': did you mean pearson?"),
        ("localization: none | huber", "unknown localization distance 'huber': choose from iou, ciou, eiou, giou, diou, kl."),
        ("global: none > none | l2", "a global genome has 3 transform slot(s) (attention > scale > norm), got 2: none > none;"),
        ("logits: none > none | l2", "a logits genome has 1 transform slot(s) (transform), got 2"),
        ("global: none > none > none | l2 x much", "'much' is not a weight"),
        ("global: none > none > none | l2 x -1", "a weight lies between 0 and 1000, got -1"),
        ("global: none > none > none | l2 x 1001", "a weight lies between 0 and 1000, got 1001"),
        ("global: none > none > none | l2 x nan", "a weight lies between 0 and 1000, got nan"),
        ("fgbg: none > none > none | l2 x 1 bg much", "'much' is not a weight"),
        ("fgbg: none > none > none | l2 bg -1", "the weight of background lies between 0 and 1000, got -1"),
        ("global: none > none > none | l2 bg 2", "only fgbg genomes weigh background, got bg 2 in a global genome; leave bg out."),
        ("global: none > none > none", "is not a genome: the form is"),
        ("none > none > none | l2", "is not a genome: the form is"),
        ("", "is not a genome: the form is"),
    ],
)
def test_bad_text_is_refused_with_what_is_near(text: str, message: str) -> None:
    with pytest.raises(GenomeError) as caught:
        Genome.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_a_genome_or_a_genome_error(text: str) -> None:
    with contextlib.suppress(GenomeError):
        assert Genome.parse(text)


GOOD = Genome(Knowledge.LOGITS, ("softmax_C",), "kl", 2.0).to_json()


def test_json_form() -> None:
    assert GOOD == {"schema": "detkds.genome/1", "knowledge": "logits", "transform": "softmax_C", "distance": "kl", "weight": 2.0}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "an object with schema 'detkds.genome/1', got []"),
        ({**GOOD, "schema": "detkds.genome/2"}, "an object with schema"),
        ({**GOOD, "scale": "none"}, "has the keys"),
        ({key: value for key, value in GOOD.items() if key != "weight"}, "has the keys"),
        ({**GOOD, "knowledge": ["logits"]}, "unknown knowledge"),
        ({**GOOD, "transform": None}, "unknown logits transform 'None'"),
        ({**GOOD, "weight": None}, "'None' is not a weight"),
        ({**GOOD, "weight": float("inf")}, "a weight lies between 0 and 1000, got inf"),
    ],
)
def test_bad_json_is_refused(data: object, message: str) -> None:
    with pytest.raises(GenomeError) as caught:
        Genome.from_json(data)
    assert message in str(caught.value)


def test_a_slot_is_replaced_and_checked() -> None:
    genome = Genome.parse("instance: none > local_2 > none | ssim x 5")
    assert str(genome.with_slot("norm", "norm_N")) == "instance: none > local_2 > norm_N | ssim x 5"
    assert str(genome.with_slot("distance", "l1").with_weight(0.5)) == "instance: none > local_2 > none | l1 x 0.5"
    with pytest.raises(GenomeError, match="unknown instance norm"):
        genome.with_slot("norm", "iou")
