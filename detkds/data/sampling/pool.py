"""The images of a data set that may be drawn, and how one part after another is taken from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkds.data.sampling.counting import Counting
from detkds.data.sampling.exchange import draw
from detkds.data.sampling.strata import Strata, strata
from detkds.errors import ConfigError, DatasetError

Coco = dict[str, Any]
Chosen = NDArray[np.bool_]  # (N,), one flag an image that may be drawn


class Pool:
    """Takes parts whose proportions are the whole's.

    Args:
        whole: the images that may be drawn.
        seed: of every part; 0 or more.

    Raises:
        ConfigError: a negative seed.
    """

    def __init__(self, whole: Strata, seed: int) -> None:
        if seed < 0:
            raise ConfigError(f"a seed is 0 or more, got {seed}.")
        self.whole = whole
        self._occupied = whole.occupied
        self._counts = whole.counts[self._occupied]
        self._rng = np.random.default_rng(seed)

    @property
    def everything(self) -> Chosen:
        """All images that may be drawn."""
        return np.ones(len(self._occupied), dtype=bool)

    def take(self, size: int, within: Chosen, *, leave: bool = False) -> Chosen:
        """Draw images from those `within`; images with and without objects are drawn apart, each in their share of the whole.

        Args:
            size: images to draw, 1 to those within; at least one of them has objects.
            within: (N,) where to draw from; some of them have objects.
            leave: keep images within for another part: at least one with objects, and one of each class where there are two.

        Returns:
            (N,) which images are drawn.
        """
        occupied = self._with_objects(size, within, leave)
        chosen = np.zeros(len(within), dtype=bool)
        chosen[self._occupied] = draw(self._counts, occupied, within[self._occupied], self._rng, leave=leave)
        empty = np.flatnonzero(within & ~self._occupied)
        chosen[self._rng.choice(empty, size - occupied, replace=False)] = True
        return chosen

    def _with_objects(self, size: int, within: Chosen, leave: bool) -> int:
        """How many of `size` images have objects: the whole's share, as far as images within allow."""
        share = size * int(self._occupied.sum()) / len(self._occupied)
        there = int((within & self._occupied).sum())
        empty = int(within.sum()) - there
        return max(1, size - empty, min(int(share + 0.5), size, there - leave))


def drawable(coco: Coco, counting: Counting | None, leave_out: Collection[int], *, at_least: int) -> Strata:
    """The strata of the images that may be drawn, of which `at_least` so many must have objects.

    Raises:
        DatasetError: there are fewer, or two images have one id or one file.
    """
    for key in ("id", "file_name"):
        twice = [value for value, count in Counter(image[key] for image in coco["images"]).items() if count > 1]
        if twice:
            raise DatasetError(f"images must have {key}s of their own, but {twice[0]!r} occurs twice; correct the annotation file.")
    whole = strata(coco, counting, leave_out=leave_out)
    if whole.occupied.sum() < at_least:
        raise DatasetError(
            f"a subset needs at least {at_least} image{'s' * (at_least > 1)} with objects, got {whole.occupied.sum()} of the "
            f"{len(whole.image_ids)} images that may be drawn (of {len(coco['images'])}); add labels, or relax the rules on crowd "
            "regions and empty images."
        )
    return whole


def require_shares(shares: Mapping[str, float], *, below: float) -> None:
    """Check that shares of the images are above 0 and at most `below`, by name.

    Raises:
        ConfigError: one is not.
    """
    for name, share in shares.items():
        if not 0 < share <= below:
            raise ConfigError(f"a share of the images must be above 0 and at most {below:g}, got {name}={share}; correct it.")


def size_of(share: float, images: int) -> int:
    """Images in a share of them: the nearest whole number (a half goes up), at least 1."""
    return max(1, int(images * share + 0.5))


def part_of(coco: Coco, whole: Strata, chosen: Chosen) -> Coco:
    """The chosen images with their annotations, in the order of the data set; entries are shared, not copied, all else is kept."""
    ids = set(whole.image_ids[chosen].tolist())
    images = [image for image in coco["images"] if image["id"] in ids]
    annotations = [annotation for annotation in coco["annotations"] if annotation["image_id"] in ids]
    return {**coco, "images": images, "annotations": annotations}
