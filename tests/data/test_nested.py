"""Subsets within subsets."""

from __future__ import annotations

import pytest
from subset_data import Coco, drawn, ids, made

from detkds.data import Counting, nested
from detkds.errors import ConfigError, DatasetError


@pytest.fixture(scope="module")
def coco() -> Coco:
    return drawn(0, images=400, classes=3)


def test_each_lies_within_the_next_and_is_close_to_the_whole(coco: Coco) -> None:
    found = nested(coco, (0.2, 0.05, 0.1), seed=0)
    assert [len(part["images"]) for part in found.parts.values()] == [20, 40, 80]
    small, middle, large = map(ids, found.parts.values())
    assert small < middle < large < ids(coco)
    assert list(found.summary["parts"]) == ["0.05", "0.1", "0.2"]
    for part in found.summary["parts"].values():
        assert part["criterion"] < part["random"]["criterion"]
        assert part["missing_classes"] == []


def test_the_whole_is_a_subset_too(coco: Coco) -> None:
    found = nested(coco, [1.0, 0.5], seed=0)
    assert found.parts[1.0] == coco
    assert found.summary["parts"]["1.0"]["criterion"] == pytest.approx(0)
    assert found.summary["full"]["images"] == 400


def test_a_seed_decides(coco: Coco) -> None:
    first, again, other = (nested(coco, [0.1], seed=seed).parts[0.1] for seed in (1, 1, 2))
    assert first == again != other


def test_one_image_is_enough() -> None:
    data = made({7: [(1, 10.0)]})
    assert nested(data, [0.01, 0.5], seed=0).parts == {0.01: data, 0.5: data}


def test_rules_bound_what_is_drawn() -> None:
    data = made({image: [(1, 10.0)] if image < 10 else [] for image in range(20)})
    found = nested(data, [0.5], seed=0, counting=Counting(empty="exclude"), leave_out=[0, 1])
    assert len(found.parts[0.5]["images"]) == 4  # half of 8
    assert ids(found.parts[0.5]) <= set(range(2, 10))


@pytest.mark.parametrize(("fractions", "told"), [([], "at least one fraction"), ([0.5, 0.0], "got fraction 0.0=0.0"), ([1.1], "1.1=1.1")])
def test_fractions_out_of_range_are_refused(coco: Coco, fractions: list[float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        nested(coco, fractions, seed=0)


def test_images_without_any_object_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least 1 image with objects, got 0 of the 2 images"):
        nested(made({1: [], 2: []}), [0.5], seed=0)
