"""How many objects of each class and size each image has: what a stratified subset keeps in proportion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = ("S", "M", "L")
BOUNDS_PX2 = (32**2, 96**2)  # box area: S below 32 x 32 pixels, L from 96 x 96 on, as COCO minitrain counts


@dataclass(frozen=True)
class Strata:
    """Counts of a COCO data set.

    Args:
        image_ids: (N,) ascending, so that the order of the file does not matter.
        counts: (N, 3K) objects an image, by class (in order of category id) and within it by S, M, L. Crowd regions and boxes
            of no area are no objects.
        classes: the K names, in order of category id.
    """

    image_ids: NDArray[np.int64]
    counts: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """(N,) which images have objects."""
        filled: NDArray[np.bool_] = self.counts.sum(axis=1) > 0
        return filled


def strata(coco: dict[str, Any]) -> Strata:
    """Count the objects of a valid COCO dict."""
    categories = sorted(coco["categories"], key=lambda category: int(category["id"]))
    category_ids = np.array([category["id"] for category in categories], dtype=np.int64)
    image_ids = np.sort(np.array([image["id"] for image in coco["images"]], dtype=np.int64))
    objects = [a for a in coco["annotations"] if not a["iscrowd"] and a["bbox"][2] > 0 and a["bbox"][3] > 0]
    counts = np.zeros((len(image_ids), len(SIZES) * len(category_ids)), dtype=np.int64)
    if objects:
        row = np.searchsorted(image_ids, np.array([a["image_id"] for a in objects], dtype=np.int64))
        of_class = np.searchsorted(category_ids, np.array([a["category_id"] for a in objects], dtype=np.int64))
        area = np.array([a["bbox"][2] * a["bbox"][3] for a in objects], dtype=np.float64)
        size = np.searchsorted(np.array(BOUNDS_PX2, dtype=np.float64), area, side="right")
        np.add.at(counts, (row, len(SIZES) * of_class + size), 1)
    return Strata(image_ids, counts, tuple(category["name"] for category in categories))
