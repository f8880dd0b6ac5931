"""The split of a train set for the search: disjoint, seeded, in proportion."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detkds.data import load, split
from detkds.data.exchange import stratify
from detkds.data.strata import strata
from detkds.errors import ConfigError, DatasetError

Coco = dict[str, Any]


def ids(coco: Coco) -> set[int]:
    return {image["id"] for image in coco["images"]}


def made(boxes: dict[int, list[tuple[int, float]]], crowd: tuple[int, ...] = ()) -> Coco:
    """A COCO dict from {image: [(category, side of a square box)]}; all boxes of the images in `crowd` are crowd regions."""
    annotations = [
        {"image_id": image, "category_id": category, "bbox": [0, 0, side, side], "area": side**2, "iscrowd": int(image in crowd)}
        for image, objects in boxes.items()
        for category, side in objects
    ]
    for id, annotation in enumerate(annotations, start=1):
        annotation["id"] = id
    categories = sorted({annotation["category_id"] for annotation in annotations})
    return {
        "info": {"made": True},
        "licenses": [{"id": 1}],
        "extra": [1, 2],
        "images": [{"id": image, "file_name": f"{image}.jpg", "width": 200, "height": 200, "flickr": image} for image in boxes],
        "annotations": annotations,
        "categories": [{"id": category, "name": f"class {category}"} for category in categories],
    }


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


def test_strata_count_objects_by_class_and_size() -> None:
    """S below 32 x 32 = 1024, M below 96 x 96 = 9216; crowd regions and empty boxes do not count."""
    data = made({5: [(1, 31.9), (1, 32.0), (2, 95.9)], 2: [(2, 96.0), (2, 0.0)], 9: [(1, 10.0)]}, crowd=(9,))
    found = strata(data)
    assert found.image_ids.tolist() == [2, 5, 9]
    assert found.classes == ("class 1", "class 2")
    assert found.counts.tolist() == [[0, 0, 0, 0, 0, 1], [1, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]]
    assert found.occupied.tolist() == [True, True, False]


@pytest.mark.parametrize(("fraction", "val_fraction", "train", "val"), [(0.5, 0.2, 30, 12), (0.8, 0.2, 48, 12), (0.01, 0.001, 1, 1)])
def test_parts_are_disjoint_and_of_the_size_asked_for(coco: Coco, fraction: float, val_fraction: float, train: int, val: int) -> None:
    parts = split(coco, fraction=fraction, val_fraction=val_fraction, seed=0)
    assert (len(parts.search_train["images"]), len(parts.search_val["images"])) == (train, val)
    assert not ids(parts.search_train) & ids(parts.search_val)
    names = [{image["file_name"] for image in part["images"]} for part in (parts.search_train, parts.search_val)]
    assert not names[0] & names[1]
    for part in (parts.search_train, parts.search_val):
        assert {annotation["image_id"] for annotation in part["annotations"]} <= ids(part)
        assert any(not annotation["iscrowd"] for annotation in part["annotations"])


def test_entries_and_blocks_come_through_unchanged(coco: Coco) -> None:
    before = copy.deepcopy(coco)
    parts = split(coco, fraction=0.5, val_fraction=0.2, seed=0)
    assert coco == before
    for part in (parts.search_train, parts.search_val):
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


@pytest.mark.parametrize("seed", range(5))
def test_images_without_objects_come_in_proportion(coco: Coco, seed: int) -> None:
    """9 of 60 have no objects: 4.5 of 30 and 1.8 of 12, and what is left, 2.7 of 18."""
    summary = split(coco, fraction=0.5, val_fraction=0.2, seed=seed).summary
    assert summary["full"]["empty_images"] == 9
    assert summary["search_train"]["empty_images"] in (4, 5)
    assert summary["search_val"]["empty_images"] in (1, 2)


@pytest.mark.parametrize("seed", range(5))
def test_each_class_of_two_images_is_in_both_parts(coco: Coco, seed: int) -> None:
    summary = split(coco, fraction=0.5, val_fraction=0.2, seed=seed).summary
    for part in ("search_train", "search_val"):
        assert set(summary[part]["missing_classes"]) <= {"class 4"}  # which is in one image only


def test_the_summary_agrees_with_the_parts(coco: Coco) -> None:
    parts = split(coco, fraction=0.5, val_fraction=0.2, seed=0)
    full, val = parts.summary["full"], parts.summary["search_val"]
    ratios = []
    for of_class in (1, 2, 3, 4):
        name = f"class {of_class}"
        for size, side in (("S", 10.0), ("M", 50.0), ("L", 150.0)):
            count, whole = (
                sum(not a["iscrowd"] and a["category_id"] == of_class and a["bbox"][2] == side for a in data["annotations"])
                for data in (parts.search_val, coco)
            )
            assert (val["by_class_and_size"][name][size], full["by_class_and_size"][name][size]) == (count, whole)
            assert val["proportion"][name][size] == (pytest.approx(count / whole) if whole else None)
            ratios += [count / whole] if whole else []
    assert val["criterion"] == pytest.approx(max(ratios) - min(ratios))
    assert val["images"] == len(parts.search_val["images"])
    json.dumps(parts.summary, allow_nan=False)


def test_a_perfect_deal_is_found() -> None:
    """Ten images of each of four kinds, half wanted: the best deal has 5 of each, cost 0, and exchanges find it."""
    counts = np.repeat(np.eye(4, 6, dtype=np.int64) * [[1], [3], [2], [5]], 10, axis=0)
    part = stratify(counts, (20, 20), np.random.default_rng(0))
    assert (counts[part == 0].sum(0) == counts[part == 1].sum(0)).all()


def test_proportions_are_closer_than_the_best_of_many_random_draws(shared_data: Path) -> None:
    """chi2 of search-train against 200 random draws of as many images."""
    coco = load(shared_data / "bccd" / "annotations" / "train.json")
    summary = split(coco, fraction=0.3, val_fraction=0.2, seed=0).summary
    counts = strata(coco).counts
    counts = counts[:, counts.any(axis=0)]
    for part in ("search_train", "search_val"):
        images = summary[part]["images"]
        target = counts.sum(0) * images / len(counts)
        rng = np.random.default_rng(0)
        draws = [counts[rng.permutation(len(counts))[:images]].sum(0) for _ in range(200)]
        assert summary[part]["chi2"] < min(((drawn - target) ** 2 / target).sum() for drawn in draws)


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
        assert not twice & set(parts.summary[part]["missing_classes"])
    assert ids(parts.search_train) | ids(parts.search_val) == ids(coco)


@pytest.mark.parametrize(
    ("fraction", "val_fraction", "seed"), [(0, 0.2, 0), (0.5, 0, 0), (0.7, 0.4, 0), (float("nan"), 0.2, 0), (0.5, 0.2, -1)]
)
def test_numbers_out_of_range_are_refused(coco: Coco, fraction: float, val_fraction: float, seed: int) -> None:
    with pytest.raises(ConfigError, match="got"):
        split(coco, fraction=fraction, val_fraction=val_fraction, seed=seed)


def test_too_few_images_with_objects_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least two images with objects, got 1 of 3"):
        split(made({1: [(1, 10.0)], 2: [], 3: [(1, 10.0)]}, crowd=(3,)), fraction=0.5, val_fraction=0.3, seed=0)


def test_two_images_with_objects_suffice_among_many_without() -> None:
    data = made({image: [(1, 10.0)] if image < 2 else [] for image in range(20)})
    parts = split(data, fraction=0.9, val_fraction=0.1, seed=0)
    assert [len(part["annotations"]) for part in (parts.search_train, parts.search_val)] == [1, 1]
    assert [len(part["images"]) for part in (parts.search_train, parts.search_val)] == [18, 2]


def test_one_file_under_two_ids_is_refused(coco: Coco) -> None:
    for image in coco["images"]:
        image["file_name"] = "same.jpg"
    with pytest.raises(DatasetError, match=r"file_name 'same.jpg'"):
        split(coco, fraction=0.5, val_fraction=0.5, seed=0)
