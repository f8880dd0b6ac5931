"""A sound data set in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detkds.data.sampling.strata import SIZES, strata


@dataclass(frozen=True)
class Overview:
    """Counts of a COCO data set.

    Args:
        images: all images.
        empty_images: those without an object: no annotations, or crowd regions only.
        objects: annotations that are not crowd region and have a box with an area.
        crowd: annotations of crowd regions.
        masks: annotations with a mask.
        by_class: of each class its objects by box area S, M, L (below 32 x 32 pixels, below 96 x 96, above), in order of category id.
    """

    images: int
    empty_images: int
    objects: int
    crowd: int
    masks: int
    by_class: dict[str, tuple[int, ...]]

    @property
    def unused(self) -> list[str]:
        """Classes without an object."""
        return [name for name, counts in self.by_class.items() if not sum(counts)]


def overview(coco: dict[str, Any]) -> Overview:
    """Count a valid COCO dict."""
    whole = strata(coco)
    rows = whole.totals().reshape(-1, len(SIZES)).tolist()
    annotations = coco["annotations"]
    return Overview(
        images=len(coco["images"]),
        empty_images=int((~whole.occupied).sum()),
        objects=sum(map(sum, rows)),
        crowd=sum(annotation["iscrowd"] for annotation in annotations),
        masks=sum(bool(annotation.get("segmentation")) for annotation in annotations),
        by_class={name: tuple(row) for name, row in zip(whole.classes, rows, strict=True)},
    )
