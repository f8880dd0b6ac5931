"""How many objects of each class and size each image has: what a stratified subset keeps in proportion."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from detkds.data.sampling.counting import Counting

SIZES = ("S", "M", "L")
BOUNDS_PX2 = (32**2, 96**2)  # S below 32 x 32 pixels, L from 96 x 96 on


@dataclass(frozen=True)
class Strata:
    """Counts of the images of a COCO data set that may be drawn.

    Args:
        image_ids: (N,) ascending, so that the order of the file does not matter.
        counts: (N, 3K) sparse (CSR), int64: objects per image, by class (in order of category id) and within it by S, M, L.
        classes: the K names, in order of category id.
        left_out: how many images of the data set may not be drawn.
    """

    image_ids: NDArray[np.int64]
    counts: csr_matrix
    classes: tuple[str, ...]
    left_out: int = 0

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """(N,) which images have objects."""
        filled: NDArray[np.bool_] = np.diff(self.counts.indptr) > 0
        return filled

    def totals(self, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """(3K,) objects of each class and size in the `chosen` images, or in all."""
        picked = np.ones(len(self.image_ids)) if chosen is None else chosen
        total: NDArray[np.int64] = (self.counts.T @ picked.astype(np.int64)).astype(np.int64)
        return total

    def rows(self, kept: NDArray[np.bool_]) -> Strata:
        """The strata of a part of the images; the others are left out."""
        return Strata(self.image_ids[kept], self.counts[kept], self.classes, self.left_out + int((~kept).sum()))


def strata(coco: dict[str, Any], counting: Counting | None = None, *, leave_out: Collection[int] = ()) -> Strata:
    """Count the objects of a valid COCO dict. Boxes of no area are not objects.

    Args:
        coco: as `load` gives it.
        counting: what counts, and which images may be drawn.
        leave_out: ids of further images that may not be drawn.
    """
    rules = counting or Counting()
    categories = sorted(coco["categories"], key=lambda category: int(category["id"]))
    image_ids = np.sort(_whole_numbers(image["id"] for image in coco["images"]))
    annotations = coco["annotations"]
    row = np.searchsorted(image_ids, _whole_numbers(a["image_id"] for a in annotations))
    crowd = _whole_numbers(a["iscrowd"] for a in annotations) > 0
    cell = len(SIZES) * _classes(annotations, categories) + _sizes(annotations, rules)
    sides = np.array([a["bbox"][2] > 0 and a["bbox"][3] > 0 for a in annotations], dtype=bool)
    objects = sides if rules.crowd == "count" else sides & ~crowd
    counts = csr_matrix(
        (np.ones(objects.sum(), dtype=np.int64), (row[objects], cell[objects])), shape=(len(image_ids), len(SIZES) * len(categories))
    )  # objects of one image and cell are added up
    whole = Strata(image_ids, counts, tuple(category["name"] for category in categories))
    return whole.rows(_drawable(whole, row[crowd], rules) & ~np.isin(image_ids, np.array(sorted(leave_out), dtype=np.int64)))


def _classes(annotations: list[dict[str, Any]], categories: list[dict[str, Any]]) -> NDArray[np.int64]:
    ids = _whole_numbers(category["id"] for category in categories)
    return np.searchsorted(ids, _whole_numbers(a["category_id"] for a in annotations)).astype(np.int64)


def _sizes(annotations: list[dict[str, Any]], rules: Counting) -> NDArray[np.int64]:
    if rules.sizes == "box":
        area = np.array([a["bbox"][2] * a["bbox"][3] for a in annotations], dtype=np.float64)
    else:
        area = np.array([a["area"] for a in annotations], dtype=np.float64)
    return np.searchsorted(np.array(BOUNDS_PX2, dtype=np.float64), area, side="right").astype(np.int64)


def _drawable(whole: Strata, crowded: NDArray[np.int64], rules: Counting) -> NDArray[np.bool_]:
    kept = whole.occupied if rules.empty == "exclude" else np.ones(len(whole.image_ids), dtype=bool)
    if rules.crowd == "exclude":
        kept = kept & (np.bincount(crowded, minlength=len(kept)) == 0)
    return kept


def _whole_numbers(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, dtype=np.int64)
