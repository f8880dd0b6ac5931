"""Distances, transforms and regions of a plugin: registered, used in losses and the search, or refused with one line."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import product

import pytest
import torch
from torch import Tensor

import detkds
from detkds.errors import GenomeError
from detkds.genome import SLOTS, Genome, Knowledge, Recipe, canonical
from detkds.genome.formula import formula
from detkds.genome.words import FEATURES
from detkds.search.space import SearchSpace

pytestmark = pytest.mark.usefixtures("own_words")

HUBER = r"mean of $\sqrt{1 + (s - t)^2} - 1$"


def huber(student: Tensor, teacher: Tensor) -> Tensor:
    return (1 + (student - teacher).square()).sqrt() - 1


def boxes_of(*images: Sequence[Sequence[float]]) -> list[Tensor]:
    return [torch.tensor(image) for image in images]


def test_a_distance_has_its_value_and_its_formula() -> None:
    detkds.distance("huber", formula=HUBER)(huber)
    # sqrt(1 + 0) - 1 = 0 and sqrt(1 + 3) - 1 = 1: mean 1/2
    student, teacher = torch.zeros(1, 1, 1, 2), torch.tensor([0.0, 3**0.5]).view(1, 1, 1, 2)
    assert float(detkds.loss("global: none > none > none | huber x 2", student, teacher)) == pytest.approx(2 * 0.5)
    assert "D = mean of √(1 + (s − t)²) − 1" in formula(Genome.parse("global: none > none > none | huber"))


def test_values_of_positions_are_weighed_by_the_region() -> None:
    """One foreground cell of four, whose box has one cell: foreground 1, background (0 + 0 + 1) / 3, counted half."""
    detkds.distance("huber", formula=HUBER)(huber)
    gap = torch.tensor([[3**0.5, 0.0], [0.0, 3**0.5]]).view(1, 1, 2, 2)
    value = detkds.loss("fgbg: none > none > none | huber", torch.zeros(1, 1, 2, 2), gap, boxes=boxes_of([[0, 0, 8, 8]]), strides=[8])
    assert float(value) == pytest.approx(1 + 0.5 * 1 / 3)


def test_a_distance_of_three_arguments_is_the_loss_itself() -> None:
    @detkds.distance("largest", formula=r"\max (s - t)^2")
    def largest(student: Tensor, teacher: Tensor, weight: Tensor | None) -> Tensor:
        return (student - teacher).square().amax()

    assert float(detkds.loss("global: none > none > none | largest", torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 3.0]]]]))) == 9
    assert formula(Genome.parse("global: none > none > none | largest")).endswith("D = max(s − t)²")


def test_a_distance_of_boxes() -> None:
    @detkds.distance("sides", formula=r"\left| s - t \right|", knowledge="localization")
    def sides(student: Tensor, teacher: Tensor) -> Tensor:
        return (student - teacher).abs().mean(1)

    assert SLOTS[Knowledge.LOCALIZATION]["distance"][-1] == "sides"
    assert "sides" not in SLOTS[Knowledge.GLOBAL]["distance"]


def test_transforms_of_every_slot(make_views: Callable[..., object]) -> None:
    detkds.transform("cube", formula="f^3")(lambda f: f**3)
    detkds.transform("mean_2", formula=r"$2 \times 2$ mean pooling", slot="scale")(
        lambda f: torch.nn.functional.avg_pool2d(f, 2, ceil_mode=True)
    )
    detkds.transform("half", formula=r"\frac{1}{2} f", slot="attention")(lambda f: f / 2)
    detkds.transform("gap", formula="$f - t$ on either side", slot="attention")(lambda s, t: (s - t, t - t))
    detkds.transform("root", formula=r"\sqrt{p}", slot="transform")(lambda p: (p + 1e-3).abs().sqrt())
    detkds.transform("twice", formula="2 f", slot="transform", knowledge="localization")(lambda f: 2 * f)
    student, teacher = torch.full((1, 1, 2, 2), 2.0), torch.zeros(1, 1, 2, 2)
    # (2 / 2)^3 = 1, mean pooled 1, squared 1
    assert float(detkds.loss("global: half > mean_2 > cube | l2", student, teacher)) == 1
    assert float(detkds.loss("global: gap > none > none | l1", student, teacher + 1)) == 1
    views = make_views(requires_grad=True)
    texts = [
        *(f"{knowledge}: half > mean_2 > cube | {word}" for knowledge in FEATURES for word in ("l1", "pearson", "kl")),
        "fgbg: gap > mean_2 > cube | l1", "logits: root | kl", "localization: twice | giou",
    ]  # fmt: skip
    for semantics in ("paper", "released"):
        for text in texts:
            genome = Genome.parse(text)
            if semantics in genome.word("distance").semantics:
                loss = torch.stack(list(detkds_losses(genome, semantics, views).values())).sum()
                loss.backward()
                assert bool(loss.isfinite()), (semantics, text)


def detkds_losses(genome: Genome, semantics: str, views: object) -> dict[Knowledge, Tensor]:
    from detkds.losses import RecipeLoss

    return RecipeLoss(Recipe((genome,), semantics))(views, 0)


def test_a_region_of_fgbg_decides_what_a_cell_counts() -> None:
    @detkds.region("first", formula="the cells that a box begins in")
    def first(boxes: object, level: Tensor, stride: int) -> Tensor:
        weight = level.new_zeros(len(level), 1, *level.shape[2:])
        for corner, image in zip(boxes.corners, boxes.image, strict=True):
            weight[image, 0, int(corner[1]) // stride, int(corner[0]) // stride] = 2.0
        return weight

    gap = torch.tensor([[1.0, 3.0]]).view(1, 1, 1, 2)
    value = detkds.loss("fgbg: first > none > none | l1", torch.zeros(1, 1, 1, 2), gap, boxes=boxes_of([[0, 0, 16, 8]]), strides=[8])
    # foreground: the first cell alone, 1; background: the second, 3, counted half
    assert float(value) == pytest.approx(1 + 0.5 * 3)


def test_a_region_of_instance_decides_what_is_cropped() -> None:
    @detkds.region("corner", formula="the upper left quarter of an image", knowledge="instance")
    def corner(views: object) -> list[Tensor]:
        height, width = views.batch_shape
        return [torch.tensor([[0.0, 0.0, width / 2, height / 2]]) for _ in range(len(views.boxes))]

    gap = torch.zeros(1, 1, 4, 4)
    gap[:, :, :2, :2] = 3.0
    boxes = boxes_of([[16, 16, 32, 32]])
    usual = detkds.loss("instance: none > none > none | l1", torch.zeros(1, 1, 4, 4), gap, boxes=boxes, strides=[8])
    own = detkds.loss("instance: corner > none > none | l1", torch.zeros(1, 1, 4, 4), gap, boxes=boxes, strides=[8])
    assert float(usual) < 0.5 < 2 < float(own)


def test_a_word_is_in_the_search_spaces_last_in_its_slot() -> None:
    before = {name: SearchSpace.preset(name).slots[Knowledge.GLOBAL] for name in ("paper", "extended")}
    detkds.distance("huber", formula=HUBER)(huber)
    detkds.transform("cube", formula="f^3", spaces=["extended"], semantics=["paper"])(lambda f: f**3)
    for name, slots in before.items():
        space = SearchSpace.preset(name)
        assert space.slots[Knowledge.GLOBAL]["distance"] == (*slots["distance"], "huber")
        assert ("cube" in space.slots[Knowledge.GLOBAL]["norm"]) == (name == "extended")
        drawn = {space.sample(random.Random(seed), Knowledge.GLOBAL).distance for seed in range(99)}
        assert "huber" in drawn
    assert "cube" not in SearchSpace.preset("extended", "released").slots[Knowledge.GLOBAL]["norm"]
    with pytest.raises(GenomeError, match=r"semantics released has no norm cube: .*; use semantics paper"):
        Recipe.parse("global: none > none > cube | l1", "released")


def test_a_word_without_folds_is_its_own_canonical_form() -> None:
    """What no rule can prove is not folded: two losses taken for one would be silently wrong, two kept apart only cost a trial."""
    detkds.distance("huber", formula=HUBER)(huber)
    detkds.transform("cube", formula="f^3")(lambda f: f**3)
    detkds.transform("half", formula="f / 2", slot="attention")(lambda f: f / 2)
    slots = SLOTS[Knowledge.FGBG]
    for attention, scale, norm in product(slots["attention"], ("none", "scale_2", "local_2"), slots["norm"]):
        genome = Genome(Knowledge.FGBG, (attention, scale, norm), "huber")
        assert canonical(genome) == genome
    for text in ("global: half > none > norm_HW | pearson", "global: catt > none > cube | pearson", "global: none > local_2 > cube | l1"):
        assert canonical(Genome.parse(text)) == Genome.parse(text)


def test_a_declared_fold_is_used() -> None:
    detkds.distance("huber", formula=HUBER, folds=["by_position"])(huber)
    assert canonical(Genome.parse("global: none > local_2 > none | huber")) == Genome.parse("global: none > none > none | huber")


def test_a_cell_that_is_run_again_replaces_its_word() -> None:
    def define(factor: float) -> None:
        @detkds.distance("scaled", formula="s - t")
        def scaled(student: Tensor, teacher: Tensor) -> Tensor:
            return factor * (student - teacher).abs()

    for factor in (1.0, 3.0):
        define(factor)
        assert float(detkds.loss("global: none > none > none | scaled", torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1))) == factor


REFUSED = {
    "taken": ("l1", huber, {}, "the global distance 'l1' is a word of DetKDS already; choose another name"),
    "name": ("my word", huber, {}, "a word's name has letters and digits in parts joined by _, 32 at most, got 'my word'"),
    "formula": ("x", huber, {"formula": r"\nosuch{s}"}, r"the word 'x' is refused: the formula .* has the unknown command \\nosuch"),
    "dollar": ("x", huber, {"formula": "mean of $s"}, "a dollar sign of the formula is not closed"),
    "knowledge": ("x", huber, {"knowledge": "globl"}, "unknown knowledge of the word x 'globl': did you mean global"),
    "space": ("x", huber, {"spaces": ["papr"]}, "unknown space 'papr': did you mean paper"),
    "fold": ("x", huber, {"folds": ["by_entri"]}, "unknown fold 'by_entri': did you mean by_entry"),
    "both": ("x", huber, {"knowledge": ["global", "localization"]}, "compares boxes or values, not both"),
    "one argument": ("x", lambda s: s, {}, r"must be a function of 2 or 3 argument\(s\), got 1: s"),
    "number": ("x", 3, {}, "must be a function, got int"),
    "None": ("x", lambda s, t: None, {}, r"must return a tensor of shape \(2, 4, 8, 6\) or \(2, 1, 8, 6\), got None"),
    "shape": ("x", lambda s, t: (s - t)[:, :, 0], {}, r"must return a tensor of shape .*, got a tensor \(2, 4, 6\)"),
    "NaN": ("x", lambda s, t: (s - t).log(), {}, "is nan on a probe of shape"),
    "constant": ("x", lambda s, t: (s - t) * 0, {}, "is 0 where .* and 0 where they differ"),
    "root": ("x", lambda s, t: (s - t).square().mean(1, keepdim=True).sqrt(), {}, "has a gradient that is not finite on a probe"),
    "similarity": ("x", lambda s, t: s * t / 9, {}, "it must be smallest at equality"),
    "no gradient": ("x", lambda s, t: (s.detach() - t).abs(), {}, "has no gradient to the student"),
    "raises": ("x", lambda s, t: s @ t, {}, r"fails on \(a tensor \(2, 4, 8, 6\), a tensor \(2, 4, 8, 6\)\): RuntimeError"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_cannot_be_a_distance_is_refused_in_one_line(case: str) -> None:
    name, function, options, message = REFUSED[case]
    with pytest.raises(GenomeError, match=message) as refused:
        detkds.distance(name, **{"formula": "s - t", **options})(function)
    assert "\n" not in str(refused.value)
    assert "x" not in SLOTS[Knowledge.GLOBAL]["distance"]


@pytest.mark.parametrize(
    ("slot", "function", "message"),
    [
        ("norm", lambda f: f[:, :1], r"must return a tensor of shape \(2, 4, 8, 6\), got a tensor \(2, 1, 8, 6\)"),
        ("scale", lambda f: f.flatten(1), r"must return a tensor of shape \(2, 4, any, any\)"),
        ("attention", lambda s, t: s, "must return a pair, student and teacher, got a tensor"),
        ("attention", lambda s, t, g, x: s, r"must be a function of 1 or 2 or 3 argument\(s\), got 4"),
        ("transform", lambda p: p / 0, "is (nan|inf) on a probe"),
        ("distance", lambda f: f, "unknown slot of a transform 'distance'"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_transform_is_refused(slot: str, function: Callable[..., object], message: str) -> None:
    with pytest.raises(GenomeError, match=message):
        detkds.transform("x", formula="f", slot=slot)(function)


@pytest.mark.parametrize(
    ("knowledge", "function", "message"),
    [
        ("fgbg", lambda boxes, level, stride: level, r"must return a tensor of shape \(2, 1, 8, 6\)"),
        ("fgbg", lambda boxes, level, stride: level[:, :1] * 0, "must give weights of 0 or more, and some above"),
        ("instance", lambda views: views.boxes[0], "must return one tensor of boxes for each of 2 images"),
        ("instance", lambda views: [box[:, :2] for box in views.boxes], r"must return a tensor of shape \(any, 4\)"),
        ("global", lambda views: views, "unknown knowledge of a region 'global'"),
    ],
)
def test_what_cannot_be_a_region_is_refused(knowledge: str, function: Callable[..., object], message: str) -> None:
    with pytest.raises(GenomeError, match=message):
        detkds.region("x", formula="f", knowledge=knowledge)(function)
