"""Objects by image, class and size, and the rules of counting."""

from __future__ import annotations

import pytest
from subset_data import made

from detkds.data import Counting
from detkds.data.sampling.strata import strata
from detkds.errors import ConfigError


def test_objects_are_counted_by_class_and_size() -> None:
    """S below 32 x 32 = 1024, M below 96 x 96 = 9216; crowd regions and empty boxes do not count."""
    data = made({5: [(1, 31.9), (1, 32.0), (2, 95.9)], 2: [(2, 96.0), (2, 0.0), (2, 96.0)], 9: [(1, 10.0)]}, crowd=(9,))
    found = strata(data)
    assert found.image_ids.tolist() == [2, 5, 9]
    assert found.classes == ("class 1", "class 2")
    assert found.counts.toarray().tolist() == [[0, 0, 0, 0, 0, 2], [1, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]]
    assert found.occupied.tolist() == [True, True, False]
    assert found.totals().tolist() == [1, 1, 0, 0, 1, 2]
    assert found.totals(found.image_ids == 5).tolist() == [1, 1, 0, 0, 1, 0]


def test_a_mask_may_be_a_size_smaller_than_its_box() -> None:
    """A box of 50 x 50 = 2500 is M; its mask of 2500 / 4 = 625 is S. A box of 150 x 150 is L, its mask of 5625 is M."""
    data = made({1: [(1, 50.0), (1, 150.0)]})
    assert strata(data).counts.toarray().tolist() == [[0, 1, 1]]
    assert strata(data, Counting(sizes="mask")).counts.toarray().tolist() == [[1, 1, 0]]


def test_which_images_may_be_drawn() -> None:
    data = made({1: [(1, 10.0)], 2: [], 3: [(1, 10.0)], 4: [(1, 10.0)]}, crowd=(3,))
    for rules, left in (
        (Counting(), [1, 2, 3, 4]),
        (Counting(empty="exclude"), [1, 4]),
        (Counting(empty="exclude", crowd="count"), [1, 3, 4]),
        (Counting(crowd="exclude"), [1, 2, 4]),
    ):
        found = strata(data, rules)
        assert (found.image_ids.tolist(), found.left_out) == (left, 4 - len(left))
    assert strata(data, leave_out=(2, 4, 77)).image_ids.tolist() == [1, 3]


def test_without_annotations_nothing_is_counted() -> None:
    found = strata(made({3: [], 4: []}))
    assert found.counts.toarray().tolist() == [[0, 0, 0], [0, 0, 0]]


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(ConfigError, match="`crowd` of a subset is one of ignore, count, exclude, got 'maybe'"):
        Counting(crowd="maybe")  # type: ignore[arg-type]
