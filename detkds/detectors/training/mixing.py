"""Images that mix in others, CachedMosaic and CachedMixUp, without the history of a cache."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import CachedMixUp, CachedMosaic

Results = dict[str, Any]
"""One image on its way through a pipeline, as mmcv's transforms hand it on."""


class Drawn:
    """Stands where CachedMosaic and CachedMixUp keep images that came before: each that they take is drawn from the whole data set.

    A cache that is full holds images of the shuffled order that went through the steps before it, so what is drawn here has the same
    distribution. But a draw depends on its place in the training only, so a training resumes exactly with any number of workers.
    The price is that an image is loaded for each that is mixed in.
    """

    def __init__(self, draw: Callable[[], Results], size: int) -> None:
        self._draw, self._size = draw, size
        self._drawn: dict[int, Results] = {}

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: int) -> Results:
        if place not in self._drawn:
            self._drawn[place] = self._draw()
        return self._drawn[place]

    def append(self, results: Results) -> None:
        """Keep nothing."""


class MixingCocoDataset(CocoDataset):  # type: ignore[misc]
    """mmdet's COCO data set, whose pipeline mixes in images by their place."""

    def prepare_data(self, index: int) -> Results | None:
        """The image of an index through the whole pipeline; None where a step leaves nothing of it."""
        return self._through(index, len(self.pipeline.transforms))

    def _through(self, index: int, steps: int) -> Results | None:
        results: Results | None = self.get_data_info(index)
        for place, transform in enumerate(self.pipeline.transforms[:steps]):
            if isinstance(transform, (CachedMosaic, CachedMixUp)):
                transform.results_cache = Drawn(partial(self._another, place), transform.max_cached_images)
            results = transform(results)
            if results is None:
                return None
        return results

    def _another(self, steps: int) -> Results:
        """A random image after the first steps of the pipeline."""
        for _ in range(self.max_refetch + 1):
            if (found := self._through(random.randrange(len(self)), steps)) is not None:
                return found
        raise ValueError(f"the first {steps} steps of the train pipeline leave nothing of {self.max_refetch + 1} images in a row.")
