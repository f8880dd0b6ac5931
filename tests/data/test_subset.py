"""The split of a train set for the search: disjoint, seeded, in proportion."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

import pytest
from subset_data import Coco, drawn, ids, made

from detkds.data import Counting, load, split
from detkds.data.sampling.subset import nested_name
from detkds.errors import ConfigError, DatasetError


@pytest.fixture
def coco() -> Coco:
    """60 images: class 1 is common, class 2 in every fifth image, class 3 in two, class 4 in one; 6 have nothing, 3 a crowd only."""
    draw = random.Random(0)
    boxes: dict[int, list[tuple[int, float]]] = {}
    for image in range(60):
        boxes[image] = [(1, draw.choice([10.0, 50.0, 150.0])) for _ in range(draw.randint(1, 6))]
        boxes[image] += [(2, 50.0)] * (image % 5 == 0)
    boxes |= {image: [] for image in range(0, 60, 10)} | {image: [(1, 20.0)] for image in (3, 23, 43)}
    boxes[7].append((3, 10.0))
    boxes[8] += [(3, 10.0), (4, 10.0)]
    return made(boxes, crowd=(3, 23, 43))


@pytest.mark.parametrize(("fraction", "val_fraction", "train", "val"), [(0.5, 0.2, 30, 12), (0.8, 0.2, 48, 12), (0.01, 0.001, 1, 1)])
def test_parts_are_disjoint_and_of_the_size_asked_for(coco: Coco, fraction: float, val_fraction: float, train: int, val: int) -> None:
    parts = split(coco, fraction=fraction, val_fraction=val_fraction, seed=0)
    assert (len(parts.search_train["images"]), len(parts.search_val["images"])) == (train, val)
    assert not ids(parts.search_train) & ids(parts.search_val)
    for part in (parts.search_train, parts.search_val):
        assert {annotation["image_id"] for annotation in part["annotations"]} <= ids(part)
        assert any(not annotation["iscrowd"] for annotation in part["annotations"])


def test_entries_and_blocks_come_through_unchanged(coco: Coco) -> None:
    before = copy.deepcopy(coco)
    parts = split(coco, fraction=0.5, val_fraction=0.2, seed=0, nested=[0.1])
    assert coco == before
    for part in (parts.search_train, parts.search_val, parts.nested[0.1]):
        for key in ("info", "licenses", "extra", "categories"):
            assert part[key] == before[key]
        assert part["images"] == [image for image in before["images"] if image["id"] in ids(part)]
        assert part["annotations"] == [a for a in before["annotations"] if a["image_id"] in ids(part)]


def test_a_seed_decides_and_the_order_of_the_file_does_not(coco: Coco) -> None:
    first = split(coco, fraction=0.5, val_fraction=0.2, seed=3)
    again = split(coco, fraction=0.5, val_fraction=0.2, seed=3)
    assert (first.search_train, first.search_val, first.summary) == (again.search_train, again.search_val, again.summary)
    shuffled = {**coco, **{key: random.Random(1).sample(coco[key], len(coco[key])) for key in ("images", "annotations", "categories")}}
    other = split(shuffled, fraction=0.5, val_fraction=0.2, seed=3)
    assert (ids(other.search_train), ids(other.search_val)) == (ids(first.search_train), ids(first.search_val))
    assert ids(split(coco, fraction=0.5, val_fraction=0.2, seed=4).search_train) != ids(first.search_train)


@pytest.mark.parametrize("seed", range(3))
def test_images_without_objects_come_in_proportion(coco: Coco, seed: int) -> None:
    """51 of 60 have objects: 10.2 of 12, so 2 of 12 are empty; 25.5 of 30, a half goes up, so 4 of 30 are."""
    summary = split(coco, fraction=0.5, val_fraction=0.2, seed=seed).summary
    assert summary["full"]["empty_images"] == 9
    assert summary["parts"]["search_val"]["empty_images"] == 2
    assert summary["parts"]["search_train"]["empty_images"] == 4


@pytest.mark.parametrize("seed", range(3))
def test_a_class_of_two_images_is_in_both_parts_and_one_of_one_image_in_search_train(coco: Coco, seed: int) -> None:
    parts = split(coco, fraction=0.5, val_fraction=0.2, seed=seed).summary["parts"]
    assert parts["search_train"]["missing_classes"] == []
    assert parts["search_val"]["missing_classes"] == ["class 4"]


def test_the_summary_agrees_with_the_parts(coco: Coco) -> None:
    parts = split(coco, fraction=0.5, val_fraction=0.2, seed=0)
    full, val = parts.summary["full"], parts.summary["parts"]["search_val"]
    everything = sum(not a["iscrowd"] for a in coco["annotations"])
    drawn = sum(not a["iscrowd"] for a in parts.search_val["annotations"])
    assert (val["objects"], full["objects"]) == (drawn, everything)
    ratios = []
    for of_class in (1, 2, 3, 4):
        name = f"class {of_class}"
        for size, side in (("S", 10.0), ("M", 50.0), ("L", 150.0)):
            count, whole = (
                sum(not a["iscrowd"] and a["category_id"] == of_class and a["bbox"][2] == side for a in data["annotations"])
                for data in (parts.search_val, coco)
            )
            assert (val["by_class_and_size"][name][size], full["by_class_and_size"][name][size]) == (count, whole)
            ratio = (count / drawn) / (whole / everything) if whole else None
            assert val["ratio"][name][size] == (pytest.approx(ratio) if whole else None)
            ratios += [ratio] if ratio is not None else []
    assert val["criterion"] == pytest.approx(max(ratios) - min(ratios))
    assert [abs(cell["ratio"] - 1) for cell in val["worst"]] == pytest.approx(sorted((abs(r - 1) for r in ratios), reverse=True)[:5])
    assert val["images"] == len(parts.search_val["images"])
    json.dumps(parts.summary, allow_nan=False)


@pytest.mark.parametrize("seed", range(3))
def test_closer_than_the_best_of_a_thousand_random_draws_on_real_data(shared_data: Path, seed: int) -> None:
    """205 images of blood cells; their three rarest cells have one object each, so that a criterion below 1 is luck."""
    coco = load(shared_data / "bccd" / "annotations" / "train.json")
    for part in split(coco, fraction=0.3, val_fraction=0.2, seed=seed).summary["parts"].values():
        assert part["random"]["draws"] == 1000
        assert part["chi2"] < part["random"]["chi2"]
        assert part["criterion"] < part["random"]["criterion"]


def test_the_criterion_is_at_most_half_of_what_a_thousand_random_draws_reach() -> None:
    """3,000 images, five classes with 900 to 4,800 objects: exchanges reach nearly the exact proportions."""
    parts = split(drawn(0, images=3000, classes=5), fraction=0.2, val_fraction=0.05, seed=0).summary["parts"]
    for part in parts.values():
        assert part["criterion"] <= part["random"]["criterion"] / 2
        assert part["chi2"] <= part["random"]["chi2"] / 2


def test_random_draws_in_equal_time_are_reported(coco: Coco) -> None:
    parts = split(coco, fraction=0.5, val_fraction=0.2, seed=0)
    assert parts.seconds > 0
    assert parts.equal_time.draws >= 1
    assert parts.equal_time.criterion > 0


def test_the_rule_on_crowd_regions_decides_what_an_object_is(coco: Coco) -> None:
    """3 of 60 images have one crowd region and nothing else."""
    ignored, counted, excluded = (
        split(coco, fraction=0.5, val_fraction=0.2, seed=0, counting=Counting(crowd=rule)).summary["full"]
        for rule in ("ignore", "count", "exclude")
    )
    assert (ignored["images"], ignored["empty_images"], counted["empty_images"]) == (60, 9, 6)
    assert counted["objects"] == ignored["objects"] + 3
    assert (excluded["images"], excluded["left_out"], excluded["objects"]) == (57, 3, ignored["objects"])


def test_empty_images_may_be_excluded(coco: Coco) -> None:
    parts = split(coco, fraction=0.5, val_fraction=0.5, seed=0, counting=Counting(empty="exclude"))
    assert len(ids(parts.search_train) | ids(parts.search_val)) == parts.summary["full"]["images"] == 51
    assert not (ids(parts.search_train) | ids(parts.search_val)) & {*range(0, 60, 10), 3, 23, 43}


def test_images_that_are_left_out_are_never_drawn(coco: Coco) -> None:
    parts = split(coco, fraction=0.5, val_fraction=0.5, seed=0, leave_out=range(0, 30))
    assert ids(parts.search_train) | ids(parts.search_val) == set(range(30, 60))
    assert parts.summary["full"]["left_out"] == 30


def test_nested_parts_lie_within_search_train(coco: Coco) -> None:
    parts = split(coco, fraction=0.5, val_fraction=0.2, seed=0, nested=[0.2, 0.1, 0.2])
    assert list(parts.nested) == [0.1, 0.2]
    assert [len(part["images"]) for part in parts.nested.values()] == [6, 12]
    assert ids(parts.nested[0.1]) < ids(parts.nested[0.2]) < ids(parts.search_train)
    assert parts.summary["parts"][nested_name(0.1)]["images"] == 6
    assert nested_name(0.05) == "search_train_0.05"
    assert nested_name(0.1) != nested_name(0.1 + 1e-12)


@pytest.mark.parametrize("name", ["bccd/annotations/train40", "coco_ccby/annotations/instances_train2017"])
def test_real_classes_of_two_images_are_in_both_halves(shared_data: Path, name: str) -> None:
    coco = load(shared_data / f"{name}.json")
    parts = split(coco, fraction=0.5, val_fraction=0.5, seed=0)
    images: dict[int, set[int]] = {}
    for annotation in coco["annotations"]:
        if not annotation["iscrowd"]:
            images.setdefault(annotation["category_id"], set()).add(annotation["image_id"])
    names = {category["id"]: category["name"] for category in coco["categories"]}
    twice = {names[category] for category, within in images.items() if len(within) > 1}
    for part in ("search_train", "search_val"):
        assert not twice & set(parts.summary["parts"][part]["missing_classes"])
    assert ids(parts.search_train) | ids(parts.search_val) == ids(coco)


@pytest.mark.parametrize(
    ("fraction", "val_fraction", "seed"), [(0, 0.2, 0), (0.5, 0, 0), (0.7, 0.4, 0), (float("nan"), 0.2, 0), (0.5, 0.2, -1)]
)
def test_numbers_out_of_range_are_refused(coco: Coco, fraction: float, val_fraction: float, seed: int) -> None:
    with pytest.raises(ConfigError, match="got"):
        split(coco, fraction=fraction, val_fraction=val_fraction, seed=seed)


@pytest.mark.parametrize("share", [0.0, -0.1, 0.6])
def test_a_nested_share_beyond_search_train_is_refused(coco: Coco, share: float) -> None:
    with pytest.raises(ConfigError, match=rf"above 0 and at most 0.5, got nested {share}={share}"):
        split(coco, fraction=0.5, val_fraction=0.2, seed=0, nested=[0.1, share])


def test_too_few_images_with_objects_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least 2 images with objects, got 1 of the 3 images that may be drawn"):
        split(made({1: [(1, 10.0)], 2: [], 3: [(1, 10.0)]}, crowd=(3,)), fraction=0.5, val_fraction=0.3, seed=0)


def test_two_images_with_objects_suffice_among_many_without() -> None:
    data = made({image: [(1, 10.0)] if image < 2 else [] for image in range(20)})
    parts = split(data, fraction=0.9, val_fraction=0.1, seed=0)
    assert [len(part["annotations"]) for part in (parts.search_train, parts.search_val)] == [1, 1]
    assert [len(part["images"]) for part in (parts.search_train, parts.search_val)] == [18, 2]


def test_classes_without_objects_are_told_and_change_nothing(coco: Coco) -> None:
    more = {**coco, "categories": [*coco["categories"], {"id": 99, "name": "unicorn"}]}
    parts = split(more, fraction=0.5, val_fraction=0.2, seed=0)
    assert parts.summary["full"]["absent_classes"] == ["unicorn"]
    assert parts.summary["parts"]["search_train"]["missing_classes"] == []
    assert parts.summary["parts"]["search_train"]["ratio"]["unicorn"] == {"S": None, "M": None, "L": None}
    assert ids(parts.search_train) == ids(split(coco, fraction=0.5, val_fraction=0.2, seed=0).search_train)


def test_a_part_too_small_for_all_classes_says_which_it_lacks() -> None:
    parts = split(made({image: [(image + 1, 50.0)] * 2 for image in range(10)}), fraction=0.2, val_fraction=0.1, seed=0).summary["parts"]
    assert (len(parts["search_train"]["missing_classes"]), len(parts["search_val"]["missing_classes"])) == (8, 9)


@pytest.mark.parametrize("key", ["id", "file_name"])
def test_one_id_or_file_twice_is_refused(coco: Coco, key: str) -> None:
    coco["images"][1][key] = coco["images"][0][key]
    with pytest.raises(DatasetError, match=f"{key}s of their own, but {coco['images'][0][key]!r} occurs twice"):
        split(coco, fraction=0.5, val_fraction=0.5, seed=0)
