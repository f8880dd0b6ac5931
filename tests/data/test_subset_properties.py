"""What holds for every data set, share and seed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from subset_data import SIDES, Coco, ids, made

from detkds.data import nested, split, write_coco
from detkds.data.sampling import summary
from detkds.data.sampling.subset import Split
from detkds.errors import DatasetError

QUICK = settings(max_examples=25, deadline=None)


@pytest.fixture(autouse=True, scope="module")
def _few_random_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "DRAWS", 3)
        yield


objects = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(SIDES)), max_size=4)
sets = st.dictionaries(st.integers(0, 2**53), objects, min_size=2, max_size=25).flatmap(
    lambda boxes: st.lists(st.sampled_from(sorted(boxes)), unique=True, max_size=3).map(lambda crowd: made(boxes, tuple(crowd)))
)
seeds = st.integers(0, 2**32)
share = st.floats(0.02, 0.6)


def unaltered(part: Coco, whole: Coco) -> None:
    """A part has exactly the whole's entries of its images, in the whole's order, and all other blocks."""
    assert part["images"] == [image for image in whole["images"] if image["id"] in ids(part)]
    assert part["annotations"] == [entry for entry in whole["annotations"] if entry["image_id"] in ids(part)]
    assert {key: part[key] for key in part if key not in ("images", "annotations")} == {
        key: whole[key] for key in whole if key not in ("images", "annotations")
    }


def occupied(coco: Coco) -> set[int]:
    return {entry["image_id"] for entry in coco["annotations"] if not entry["iscrowd"]}


def or_none(coco: Coco, fraction: float, val: float, seed: int) -> Split | None:
    """The split, or None where the set has too few images with objects for one; nothing else may go wrong."""
    try:
        return split(coco, fraction=fraction, val_fraction=val, seed=seed, nested=[fraction / 4, fraction / 2])
    except DatasetError:
        assert len(occupied(coco)) < 2
        return None


@QUICK
@given(sets, share, st.floats(0.02, 0.4), seeds)
def test_a_split_is_disjoint_exact_unaltered_and_the_same_for_a_seed(coco: Coco, fraction: float, val: float, seed: int) -> None:
    found = or_none(coco, fraction, val, seed)
    if found is None:
        return
    images = len(coco["images"])
    sizes = [max(1, int(images * part + 0.5)) for part in (val, fraction, fraction / 2, fraction / 4)]
    inner = found.nested[fraction / 4], found.nested[fraction / 2]
    parts = found.search_val, found.search_train, inner[1], inner[0]
    sizes[1] = min(sizes[1], images - sizes[0])
    assert [len(part["images"]) for part in parts] == [sizes[0], sizes[1], min(sizes[2], sizes[1]), min(sizes[3], sizes[1])]
    assert not ids(found.search_train) & ids(found.search_val)
    assert ids(inner[0]) <= ids(inner[1]) <= ids(found.search_train)
    for part in parts:
        unaltered(part, coco)
        assert occupied(part)
    again = or_none(coco, fraction, val, seed)
    assert again is not None
    assert (again.search_train, again.search_val, again.nested, again.summary) == (
        found.search_train,
        found.search_val,
        found.nested,
        found.summary,
    )


@QUICK
@given(sets, st.lists(st.floats(0.01, 1.0), min_size=1, max_size=4), seeds)
def test_nested_subsets_are_nested_exact_and_unaltered(coco: Coco, fractions: list[float], seed: int) -> None:
    try:
        found = nested(coco, fractions, seed=seed)
    except DatasetError:
        assert not occupied(coco)
        return
    before: set[int] = set()
    for fraction, part in found.parts.items():
        assert len(part["images"]) == max(1, int(len(coco["images"]) * fraction + 0.5))
        assert before <= ids(part)
        unaltered(part, coco)
        before = ids(part)


@QUICK
@given(sets, seeds)
def test_two_halves_hold_every_annotation_once(coco: Coco, seed: int) -> None:
    found = or_none(coco, 0.5, 0.5, seed)
    if found is not None:
        kept = [entry["id"] for part in (found.search_train, found.search_val) for entry in part["annotations"]]
        assert Counter(kept) == Counter(entry["id"] for entry in coco["annotations"])


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=15,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(max_size=5), plain, max_size=4))
def test_what_is_written_is_read_back_equal(tmp_path: Path, document: dict[str, Any]) -> None:
    write_coco(tmp_path / "any.json", document)
    read = json.loads((tmp_path / "any.json").read_bytes())
    assert json.dumps(read) == json.dumps(document)  # also the order of keys, and 1 against 1.0
