"""Presets: the recipes that have a name."""

from __future__ import annotations

import pytest

from detkds.errors import GenomeError
from detkds.genome import Knowledge, Recipe
from detkds.genome.presets import ABSENT, is_preset, left_out, names, preset, published, source


@pytest.mark.parametrize("name", names())
def test_every_preset_reads_and_says_where_it_is_from(name: str) -> None:
    recipe = preset(name)
    assert recipe.active == recipe.genomes
    assert recipe.genomes
    assert Recipe.parse(str(recipe), recipe.semantics) == recipe
    assert recipe.semantics == ("released" if name.startswith("released-") else "paper")
    assert source(name)


def test_presets_differ() -> None:
    assert len({preset(name).digest for name in names()}) == len(names())


def test_table_5_has_all_five_knowledges_with_weight_1() -> None:
    for name in ("detkds-two-stage", "detkds-one-stage", "detkds-anchor-free"):
        assert preset(name).weights == dict.fromkeys(Knowledge, 1.0)


def test_published_weights_are_kept() -> None:
    assert preset("released-retinanet").weights == {Knowledge.GLOBAL: 6.0, Knowledge.FGBG: 2.0}
    assert preset("released-faster-rcnn").weights == {
        Knowledge.GLOBAL: 2.0,
        Knowledge.FGBG: 2.0,
        Knowledge.INSTANCE: 0.1,
        Knowledge.LOGITS: 0.1,
    }


def test_pkd_is_the_squared_error_of_standardised_channels() -> None:
    assert str(preset("pkd x 1")) == "global: none > none > norm_batch | l2 x 1"


def test_a_name_alone_has_the_published_weight() -> None:
    # PKD: 10 · ½ (l2 is not halved here) · 4 levels (a mean here); CWD: 10 · 5 levels
    assert preset("pkd") == preset("pkd x 20")
    assert preset("cwd") == preset("cwd x 50")
    assert {name: published(name) for name in names() if published(name) != 1} == {"pkd": 20, "cwd": 50}


def test_a_factor_replaces_the_published_weight() -> None:
    assert preset("pkd x 5").weights == {Knowledge.GLOBAL: 5}


def test_a_factor_multiplies_every_weight() -> None:
    # released-faster-rcnn has 2, 2, 0.1 and 0.1; FGD has four genomes, three of them global.
    assert list(preset("released-faster-rcnn x 5").weights.values()) == pytest.approx([10, 10, 0.5, 0.5])
    assert [genome.weight for genome in preset("fgd  x 2.5").genomes] == [2.5] * 4
    assert preset("released-gfl x 1") == preset("released-gfl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pkdd x 2", r"did you mean pkd\?"),
        ("pkd x 1.2.3", r"'1\.2\.3' is not a weight in 'pkd x 1\.2\.3'"),
        ("pkd x 0", "above 0, got 0 in 'pkd x 0'"),
        ("pkd x nan", "above 0, got nan"),
        ("pkd x inf", "between 0 and 1000, got inf"),
        ("pkd x 1001", "between 0 and 1000, got 1001"),
    ],
)
def test_a_factor_that_makes_no_weights_says_why(text: str, message: str) -> None:
    assert is_preset(text)
    with pytest.raises(GenomeError, match=message):
        preset(text)


@pytest.mark.parametrize("text", ["", "bccd", "pkd x", "pkdx2", "global: none > none > none | l2 x 5", "recipes/pkd x 5"])
def test_what_is_no_preset(text: str) -> None:
    assert not is_preset(text)


def test_presets_say_what_they_leave_out() -> None:
    assert "roots" in left_out("fkd")
    assert left_out("fitnets") == left_out("mgd") == left_out("fgd") == ""


@pytest.mark.parametrize(("name", "reason"), [("diffkd", "diffusion model"), ("MasKD", "learned on the teacher")])
def test_a_method_that_no_genome_expresses_is_refused_with_the_reason(name: str, reason: str) -> None:
    assert name.lower() in ABSENT
    with pytest.raises(GenomeError, match=f"no preset {name}: .*{reason}.*choose from fitnets"):
        preset(name)


@pytest.mark.parametrize("call", [preset, source, left_out])
def test_an_unknown_name_is_answered_with_the_nearest(call: object) -> None:
    with pytest.raises(GenomeError, match="did you mean detkds-one-stage"):
        call("detkds-onestage")  # type: ignore[operator]
