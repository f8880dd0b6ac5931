"""Recipe: order, text, JSON, digest."""

from __future__ import annotations

import json

import pytest

from detkds.errors import GenomeError
from detkds.genome import Genome, Knowledge, Recipe

GLOBAL = Genome.parse("global: catt > scale_2 > norm_N | l1 x 6")
LOGITS = Genome.parse("logits: softmax_C | pearson x 0.5")


def test_genomes_are_kept_in_the_order_of_algorithm_1() -> None:
    recipe = Recipe((LOGITS, GLOBAL))
    assert recipe.genomes == (GLOBAL, LOGITS)
    assert recipe == Recipe((GLOBAL, LOGITS))
    assert recipe.weights == {Knowledge.GLOBAL: 6.0, Knowledge.LOGITS: 0.5}


def test_text_reads_back_and_comments_carry_nothing() -> None:
    recipe = Recipe((GLOBAL, LOGITS))
    assert Recipe.parse(str(recipe)) == recipe
    assert Recipe.parse(f"# found\n\n{LOGITS}  # second\n{GLOBAL}\n") == recipe
    assert Recipe.parse(f"{LOGITS}; {GLOBAL}  # as tables and pages write a recipe; on one line") == recipe
    assert Recipe.parse(str(Recipe())) == Recipe()
    assert str(Recipe()) == "no distillation"


def test_json_reads_back() -> None:
    for recipe in (Recipe(), Recipe((GLOBAL, LOGITS)), Recipe((GLOBAL,), "released")):
        assert Recipe.from_json(json.loads(recipe.dumps())) == recipe


@pytest.mark.parametrize(
    "data", [None, {}, {"schema": "detkds.recipe/1"}, {"schema": "detkds.recipe/1", "semantics": "papr", "genomes": []},
             {"schema": "detkds.recipe/1", "semantics": "paper", "genomes": [{}]},
             {"schema": "detkds.recipe/1", "genomes": []}]
)  # fmt: skip
def test_bad_json_is_refused(data: object) -> None:
    with pytest.raises(GenomeError):
        Recipe.from_json(data)


def test_one_genome_a_knowledge() -> None:
    with pytest.raises(GenomeError, match="one genome per knowledge, got 2 for global"):
        Recipe((GLOBAL, GLOBAL.with_weight(1)))


def test_maps_of_attention_stand_beside_the_features() -> None:
    text = "global: jatt > none > none | l2 x 2\nglobal: cmap > none > none | l2 x 3\nglobal: smap > none > none | l2 x 4"
    recipe = Recipe.parse(text)
    assert str(recipe) == text
    assert Recipe(recipe.genomes[::-1]) == recipe
    assert Recipe.from_json(json.loads(recipe.dumps())) == recipe
    assert recipe.weights == {Knowledge.GLOBAL: 2}
    with pytest.raises(GenomeError, match="one genome per knowledge, got 2 for global smap"):
        Recipe((*recipe.genomes, recipe.genomes[2].with_weight(1)))


def test_a_recipe_needs_what_its_active_genomes_need() -> None:
    recipe = Recipe.parse("global: score > none > none | l2\nfgbg: generate > none > none | l2")
    assert recipe.needs_responses
    assert recipe.trained_words == ("generate",)
    assert not recipe.with_weights((0, 1)).needs_responses
    assert recipe.with_weights((1, 0)).trained_words == ()


def test_the_released_semantics_lacks_three_distances() -> None:
    for distance in ("kl", "cosine", "ssim"):
        with pytest.raises(GenomeError, match=f"semantics released has no distance {distance}"):
            Recipe((GLOBAL.with_slot("distance", distance),), "released")
    with pytest.raises(GenomeError, match="unknown semantics 'relased': did you mean released"):
        Recipe((), "relased")


def test_the_digest_is_equal_for_recipes_that_train_alike_only() -> None:
    recipe = Recipe((GLOBAL, LOGITS))
    assert recipe.digest == Recipe((LOGITS, GLOBAL)).digest
    assert Recipe((GLOBAL, LOGITS.with_weight(0))).digest == Recipe((GLOBAL,)).digest
    assert Recipe((GLOBAL.with_weight(0),)).digest == Recipe().digest
    different = [Recipe(), Recipe((GLOBAL,)), recipe, Recipe((GLOBAL, LOGITS), "released"), recipe.with_weights((6, 1))]
    assert len({other.digest for other in different}) == len(different)


def test_the_digest_folds_l2_of_standardised_maps_into_pearson() -> None:
    l2, pearson = (Recipe.parse(text) for text in ("global: satt > none > norm_HW | l2 x 5", "global: satt > none > none | pearson x 10"))
    assert l2.digest == pearson.digest
    assert Recipe(l2.genomes, "released").digest != Recipe(pearson.genomes, "released").digest


def test_digests_do_not_change_between_versions() -> None:
    # sha256 of "semantics paper" and of "semantics paper\n" + the canonical genome text, as sha256sum prints them
    assert Recipe().digest == "57fe2a0b1671297c4d807ff10936798f49fb847a1891cf0a50abd1f089bc3610"
    assert Recipe((GLOBAL,)).digest == "7e70d6f77530a97a4ca90a63e310ffe0d8fb72f8e585438c0a2379a1ebd71088"


def test_weights_are_replaced_in_order() -> None:
    assert Recipe((GLOBAL, LOGITS)).with_weights((0, 2)).active == (LOGITS.with_weight(2),)
    with pytest.raises(ValueError, match="zip"):
        Recipe((GLOBAL, LOGITS)).with_weights((1,))
