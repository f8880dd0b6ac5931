"""SearchSpace: counts, samples, mutation, crossover."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from detkds.errors import ConfigError
from detkds.genome import Genome, Knowledge, canonical
from detkds.genome.presets import names, preset
from detkds.search import SearchSpace
from detkds.search.space import PRESETS, Count, table_2_readings

PAPER = SearchSpace.preset()
EXTENDED = SearchSpace.preset("extended")
RELEASED = SearchSpace.preset(semantics="released")
FROZEN = [
    "global: catt > scale_4 > norm_batch | ssim x 8",
    "global: none > local_2 > norm_HW | pearson x 0.1",
    "global: catt > none > norm_batch | ssim x 8",
]


def test_readings_of_table_2() -> None:
    # features 3 x (3 x 6 x 4 x 7 x 7) = 10,584; logits 5 x 7 x 7 = 245; localization 4 x 5 x 7 = 140
    # features 3 x (4 x 7 x 5 x 7 x 7) = 20,580; logits 6 x 7 x 7 = 294; localization 5 x 5 x 7 = 175
    # features 3 x (4 x 7 x 4 x 7 x 7) = 16,464; 245 + 140 as printed; 7^5 = 16,807
    assert list(table_2_readings().values()) == [10_969, 21_049, 33_656]


def test_counts_of_the_paper_space() -> None:
    feature = 4 * 5 * 6 * 7
    counts = {knowledge: PAPER.count(knowledge) for knowledge in Knowledge}
    assert [count.genomes for count in counts.values()] == [7 * feature, 7 * feature, 7 * feature, 7 * 9 * 7, 7 * 5 * 5]
    assert sum(count.genomes for count in counts.values()) == 18_256
    # logits: two reshapes x (l1, l2, smooth_l1) are none: 63 - 6 = 57 forms; localization: nothing folds
    assert counts[Knowledge.LOGITS] == Count(63, 441, 57, 57 * 7)
    assert counts[Knowledge.LOCALIZATION] == Count(25, 175, 25, 175)


def test_counts_of_feature_forms_after_folding() -> None:
    # Forms that are not their own canonical form, of global, by rule:
    #   norm_HW l2, whole maps: 4 attentions x 3 scales                                                            = 12
    #   local_2, local_4 with norm none or norm_C and (l1, l2, smooth_l1, cosine): 4 attentions x 2 x 2 x 4        = 64
    folding = 12 + 64
    # The 12 forms of l2 bring 4 doubled weights each that are not weights of the space: 0.2, 4, 16, 20 (1, 2 and 10 are).
    assert PAPER.count(Knowledge.GLOBAL) == Count(840, 5880, 840 - folding, (840 - folding) * 7 + 12 * 4)
    assert PAPER.count(Knowledge.INSTANCE) == PAPER.count(Knowledge.GLOBAL)
    # fgbg averages l2 over a region, so the 12 forms stay
    assert PAPER.count(Knowledge.FGBG) == Count(840, 5880, 840 - folding + 12, (840 - folding + 12) * 7)


def test_counts_agree_with_enumeration() -> None:
    genomes = {form.with_weight(weight) for form in PAPER.forms(Knowledge.GLOBAL) for weight in PAPER.weights}
    count = PAPER.count(Knowledge.GLOBAL)
    assert (count.genomes, count.distinct) == (len(genomes), len({canonical(genome) for genome in genomes}))


def test_where_a_search_chooses_the_images_each_genome_is_there_twice() -> None:
    chosen = replace(PAPER, labelled=(False, True))
    for knowledge in Knowledge:
        one, two = PAPER.count(knowledge), chosen.count(knowledge)
        assert (two.forms, two.genomes, two.distinct_forms, two.distinct) == (
            2 * one.forms, 2 * one.genomes, 2 * one.distinct_forms, 2 * one.distinct,
        )  # fmt: skip
    genomes = {form.with_weight(weight) for form in chosen.forms(Knowledge.LOGITS) for weight in chosen.weights}
    count = chosen.count(Knowledge.LOGITS)
    assert (count.genomes, count.distinct) == (len(genomes), len({canonical(genome) for genome in genomes}))
    rng = random.Random(0)
    drawn = [chosen.sample(rng, Knowledge.GLOBAL) for _ in range(200)]
    assert 70 < sum(genome.labelled for genome in drawn) < 130
    assert all(chosen.contains(genome) for genome in drawn)
    assert not any(PAPER.contains(genome) for genome in drawn if genome.labelled)
    mutants = [chosen.mutate(drawn[0], rng) for _ in range(200)]
    turned = [mutant for mutant in mutants if mutant.labelled != drawn[0].labelled]
    assert turned
    assert all(mutant.with_labelled(drawn[0].labelled) == drawn[0] for mutant in turned)


def test_without_that_choice_the_same_draws_give_the_same_genomes() -> None:
    """Frozen before a genome could say `on labelled`."""
    rng = random.Random(5)
    found = [str(PAPER.sample(rng, Knowledge.GLOBAL)) for _ in range(2)]
    found.append(str(PAPER.mutate(Genome.parse(found[0]), rng)))
    assert found == FROZEN


def test_counts_of_combined_weights() -> None:
    assert PAPER.count_weights() == 16_807  # 7^5
    assert PAPER.count_weights(zero=True) == 32_767  # 8^5 less the zero vector
    assert PAPER.count_weights(2, zero=True) == 63


def test_counts_of_the_extended_space() -> None:
    counts = {knowledge: EXTENDED.count(knowledge) for knowledge in Knowledge}
    # global: attentions 4 + 8, scales 5, norms 6 + 1, distances 7; one attention more in fgbg, times 5 backgrounds, and in instance
    forms = [12 * 5 * 7 * 7, 13 * 5 * 7 * 7 * 5, 13 * 5 * 7 * 7, 11 * 9, 6 * 6]
    assert [count.forms for count in counts.values()] == forms == [2940, 15_925, 3185, 99, 36]
    assert [count.genomes for count in counts.values()] == [10 * form for form in forms]
    # logits: reshapes under l1, l2, smooth_l1, bce, qfl are none, and score under cor: 99 - 10 - 1; localization: 4 transforms under kl
    assert counts[Knowledge.LOGITS].distinct_forms == 88
    assert counts[Knowledge.LOCALIZATION].distinct_forms == 32
    totals = [sum(getattr(count, name) for count in counts.values()) for name in ("genomes", "distinct")]
    assert totals == [221_850, 194_355]


def test_the_extended_space_holds_the_paper_space() -> None:
    for knowledge in Knowledge:
        assert all(EXTENDED.contains(form) for form in PAPER.forms(knowledge))
    assert not PAPER.contains(Genome.parse("fgbg: none > none > none | l2 bg 4"))
    assert EXTENDED.contains(Genome.parse("fgbg: none > none > none | l2 bg 4"))
    assert not EXTENDED.contains(Genome.parse("fgbg: none > none > none | l2 bg 3"))


@pytest.mark.parametrize("name", names())
def test_known_methods_lie_in_a_space(name: str) -> None:
    recipe = preset(name)
    space = SearchSpace.preset("extended", recipe.semantics)
    assert all(space.contains(genome.with_weight(1)) for genome in recipe.genomes)
    beyond = {"defeat", "fgd", "fkd", "gid", "frs", "ld", "mgd", "crosskd"}
    assert all(PAPER.contains(genome.with_weight(1)) for genome in recipe.genomes) == (name not in beyond)


def test_presets() -> None:
    assert SearchSpace.preset("extended").weights == (*PAPER.weights, 20, 50, 100)
    with pytest.raises(ConfigError, match="unknown space 'papr': choose from paper, extended"):
        SearchSpace.preset("papr")


@pytest.mark.parametrize("weights", [(), (1.0,), (1.0, 1.0), (0.0, 1.0)])
def test_a_space_needs_two_weights(weights: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="two or more weights, all above 0"):
        SearchSpace(PAPER.slots, weights)


def test_released_offers_no_word_without_a_meaning() -> None:
    for slots in RELEASED.slots.values():
        assert not {"kl", "cosine", "ssim", "scale_1", "local_1"} & {word for words in slots.values() for word in words}
    assert RELEASED.count(Knowledge.GLOBAL).forms == 4 * 5 * 6 * 4
    assert RELEASED.count(Knowledge.LOGITS).forms == 9 * 5


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("global: catt > scale_2 > norm_N | l1 x 5", True),
        ("global: catt > scale_1 > norm_N | l1 x 5", True),
        ("global: catt > local_1 > norm_N | l1 x 5", True),
        ("global: catt > scale_2 > norm_N | l1 x 6", False),
        ("global: catt > scale_2 > norm_N | kl x 5", True),
    ],
)
def test_contains(text: str, inside: bool) -> None:
    assert PAPER.contains(Genome.parse(text)) is inside


def test_released_does_not_contain_kl() -> None:
    assert not RELEASED.contains(Genome.parse("global: catt > scale_2 > norm_N | kl x 5"))


@pytest.mark.parametrize("space", [PAPER, RELEASED, EXTENDED], ids=["paper", "released", "extended"])
@pytest.mark.parametrize("knowledge", Knowledge)
def test_samples_and_mutants_lie_in_the_space(space: SearchSpace, knowledge: Knowledge) -> None:
    rng = random.Random(1)
    for _ in range(100):
        genome = space.sample(rng, knowledge)
        mutant = space.mutate(genome, rng)
        assert space.contains(genome)
        assert space.contains(mutant)
        changed = [slot for slot in genome.slots if genome.slots[slot] != mutant.slots[slot]]
        assert len(changed) + (genome.weight != mutant.weight) + (genome.background != mutant.background) == 1
        assert canonical(mutant, space.semantics) != canonical(genome, space.semantics)


def test_sampling_reaches_every_word() -> None:
    rng = random.Random(0)
    samples = [PAPER.sample(rng, Knowledge.LOGITS) for _ in range(500)]
    assert {genome.slots["transform"] for genome in samples} == set(PAPER.slots[Knowledge.LOGITS]["transform"])
    assert {genome.distance for genome in samples} == set(PAPER.slots[Knowledge.LOGITS]["distance"])
    assert {genome.weight for genome in samples} == set(PRESETS["paper"])


def test_mutation_reaches_every_neighbour_that_trains_differently() -> None:
    genome = Genome.parse("localization: none | iou x 1")
    rng = random.Random(0)
    mutants = {PAPER.mutate(genome, rng) for _ in range(500)}
    assert len(mutants) == 4 + 4 + 6
    # under l1 without a norm, patches are none: the mutation none -> local_2 would train the same again
    by_entry = Genome.parse("global: none > none > none | l1 x 1")
    scales = {PAPER.mutate(by_entry, rng).slots["scale"] for _ in range(500)}
    assert scales == {"none", "scale_2", "scale_4"}


def test_a_genome_from_outside_mutates_one_slot() -> None:
    genome = Genome.parse("global: catt > scale_2 > norm_N | l1 x 6")
    mutants = {PAPER.mutate(genome, random.Random(seed)) for seed in range(300)}
    assert len(mutants) == 3 + 4 + 5 + 6 + 7


def test_weight_vectors() -> None:
    rng = random.Random(3)
    offered = {0.0, *PAPER.weights}
    for size in (1, 2, 5):
        for _ in range(200):
            vector = PAPER.sample_weights(rng, size)
            mutant = PAPER.mutate_weights(vector, rng)
            assert len(vector) == len(mutant) == size
            assert any(vector)
            assert any(mutant)
            assert sum(a != b for a, b in zip(vector, mutant, strict=True)) == 1
            assert {*vector, *mutant} <= offered
    assert any(0 in PAPER.sample_weights(rng, 5) for _ in range(50))
    assert any(PAPER.mutate_weights((0.0, 0.0), rng))


def test_crossover_takes_each_entry_from_either_parent() -> None:
    rng = random.Random(4)
    crossed = {PAPER.crossover((1.0, 2.0, 5.0), (0.0, 8.0, 5.0), rng) for _ in range(100)}
    assert crossed == {(a, b, 5.0) for a in (1.0, 0.0) for b in (2.0, 8.0)}
