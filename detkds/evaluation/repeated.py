"""Detectors trained several times, with different seeds: means, spreads, and differences paired over seeds and images.

Two recipes are compared by d_s = AP of one − AP of the other at seed s, where both trainings share first weights and order of images.
Their mean is uncertain for two reasons, which are added:

* other seeds: variance of the S differences / S;
* other images: variance of the mean over seeds in the bootstrap over images (see `bootstrap`), all detectors on the same resamples.

The interval is mean ± t · √(sum). The degrees of freedom of t are Welch and Satterthwaite's, where the variance over seeds has S − 1 and
the one over images endlessly many: with 3 seeds that vary more than the images, t is near 4.3. What a seed does to single images is in
both parts, so the interval is a little too wide rather than too narrow. With one seed the first part is unknown, and the interval holds
for this one seed only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from detkds.evaluation.bootstrap import LEVEL, resampled, weights
from detkds.evaluation.engine import count
from detkds.evaluation.found import read_found
from detkds.evaluation.matching import match
from detkds.evaluation.truth import Kind, Truth, read_truth
from detkds.reading import or_null


@dataclass(frozen=True, slots=True)
class Repeat:
    """One detector of one seed.

    Args:
        figures: the 12 figures in [0, 1], nan where there is no object of that size.
        resampled: (samples,) AP and AP50 of resamples of the images, the same for all detectors of one `Images`.
    """

    figures: Mapping[str, float]
    resampled: Mapping[str, NDArray[np.float64]]


class Images:
    """Test images, and resamples of them.

    Args:
        ground_truth: a COCO object.
        kind: what the IoU is taken of.
        samples: of the bootstrap.
        seed: of the resamples.
    """

    def __init__(self, ground_truth: Mapping[str, Any], kind: Kind = "bbox", *, samples: int = 1000, seed: int = 0) -> None:
        self._truth: Truth = read_truth(ground_truth, kind)
        self._kind: Kind = kind
        self._drawn = weights(len(self._truth.image_ids), samples, seed)

    def repeat(self, detections: Sequence[Mapping[str, Any]]) -> Repeat:
        """What one detector reaches.

        Raises:
            ArtifactError: a detection is malformed or belongs to another ground truth.
        """
        found = read_found(self._truth, detections, self._kind)
        figures = count(self._truth, found, self._kind).named()
        return Repeat(figures, resampled(match(self._truth, found, self._kind), self._drawn))


@dataclass(frozen=True, slots=True)
class Gap:
    """The difference of two recipes in one figure, both in [0, 1]; see the module.

    Args:
        difference: mean over the seeds.
        low, high: interval of `level`; nan where it cannot be known.
        p: two-sided, of no difference.
        seeds: how many.
        error_seeds, error_images: the two standard errors; the first is nan with one seed.
    """

    difference: float
    low: float
    high: float
    level: float
    p: float
    seeds: int
    error_seeds: float
    error_images: float

    def to_json(self) -> dict[str, Any]:
        """A JSON object; nan is null."""
        return {name: value if name == "seeds" else or_null(value) for name, value in asdict(self).items()}


def gap(ours: Sequence[Repeat], theirs: Sequence[Repeat], figure: str = "AP") -> Gap:
    """How far `ours` are above `theirs`, seed by seed: the i-th of both have one seed.

    Args:
        figure: "AP" or "AP50".
    """
    pairs = list(zip(ours, theirs, strict=True))
    differences = np.array([a.figures[figure] - b.figures[figure] for a, b in pairs])
    over_images = np.mean([a.resampled[figure] - b.resampled[figure] for a, b in pairs], axis=0)
    over_images = over_images[~np.isnan(over_images)]
    images = float(np.var(over_images, ddof=1)) if len(over_images) > 1 else math.nan
    seeds = float(np.var(differences, ddof=1)) / len(pairs) if len(pairs) > 1 else math.nan
    known = images + (0.0 if math.isnan(seeds) else seeds)
    freedom = (len(pairs) - 1) * (known / seeds) ** 2 if seeds > 0 else math.inf
    mean, error = float(np.mean(differences)), math.sqrt(known)
    reach = float(student_t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Gap(mean, mean - reach, mean + reach, LEVEL, _chance(mean, error, freedom), len(pairs), math.sqrt(seeds), math.sqrt(images))


def _chance(mean: float, error: float, freedom: float) -> float:
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * student_t.sf(abs(mean) / error, freedom))


def mean_and_spread(repeats: Sequence[Repeat], figure: str) -> tuple[float, float]:
    """Mean over seeds, and the standard deviation of single trainings; nan with one seed."""
    values = [repeat.figures[figure] for repeat in repeats]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
