"""Class counts, of heads and as guessed from weights that do not fit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Size, nn

from detkds.detectors.configs.classes import class_count, stored_class_count


@pytest.mark.parametrize("name", ["retinanet", "fcos", "faster_rcnn", "cascade_rcnn"])
def test_class_count(tiny: Callable[..., nn.Module], name: str) -> None:
    assert class_count(tiny(name)) == 3


def test_no_head_no_count() -> None:
    assert class_count(nn.Linear(1, 1)) is None


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ([(27, 720)], 80),  # 9 anchors x 3 classes against 9 x 80
        ([(4, 81), (12, 320)], 80),  # with background: 3 + 1 against 80 + 1; and 4 coordinates a class
        ([(12, 28)], 7),  # 4 x 3 against 4 x 7; 3 x (3 + 1) against 3 x (K + 1) would need 28 / 3
        ([(12, 24)], None),  # 4 x 6 or 3 x (7 + 1): two explanations are none
        ([(27, 720), (27, 700)], None),  # no count explains both
        ([(5, 10)], None),  # 5 rows are not multiple of 3 or 4
        ([], None),
    ],
)
def test_stored_class_count(rows: list[tuple[int, int]], count: int | None) -> None:
    shapes = {str(index): (Size((own, 8)), Size((stored, 8))) for index, (own, stored) in enumerate(rows)}
    assert stored_class_count(shapes, 3) == count


def test_other_widths_are_not_explained() -> None:
    assert stored_class_count({"a": (Size((27, 8)), Size((720, 16)))}, 3) is None
