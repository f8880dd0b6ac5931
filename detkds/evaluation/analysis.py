"""Everything that an evaluation says about detectors on one set of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkds.errors import ArtifactError
from detkds.evaluation.bootstrap import LEVEL, interval, resampled, spread, two_sided_p, weights
from detkds.evaluation.confusion import confusion
from detkds.evaluation.differences import examples as side_by_side
from detkds.evaluation.engine import SIZES, Counts, Engine, count, mean
from detkds.evaluation.error_curves import error_curves
from detkds.evaluation.example import Example
from detkds.evaluation.found import Found, read_found
from detkds.evaluation.matching import AT_50, AT_75, Matches, match
from detkds.evaluation.result import Analysis as Analysis
from detkds.evaluation.result import Comparison
from detkds.evaluation.scores import Detector, Interval, Scores
from detkds.evaluation.tide import tide
from detkds.evaluation.truth import Kind, Truth, read, read_truth

INTERVALS = ("AP", "AP50")
"""The figures that have an interval and are compared."""
Detections = Sequence[Mapping[str, Any]]


def analyse(
    ground_truth: Mapping[str, Any] | Path,
    detections: Mapping[str, Detections],
    *,
    kinds: Sequence[Kind] = ("bbox",),
    compare: Sequence[tuple[str, str]] = (("distilled", "student"),),
    samples: int = 1000,
    seed: int = 0,
    examples: int = 0,
    engine: Engine = "faster",
) -> Analysis:
    """Figures, curves, errors, intervals and comparisons of detectors on one ground truth; the same numbers for the same arguments.

    Args:
        ground_truth: a COCO object or the path of its file.
        detections: detector name to COCO results.
        kinds: what to take the IoU of; "segm" is left out for detectors that found no mask.
        compare: pairs (a, b) of detectors for paired tests of AP and AP50, a − b; pairs with a name that does not exist are left out.
        samples: how many resamples of the images stand behind intervals and tests.
        seed: of the resamples.
        examples: on at most how many images the first compared pair is shown side by side, by boxes if they were looked at.
        engine: which program counts COCO's figures.

    Raises:
        DatasetError: the ground truth cannot be used.
        ArtifactError: a detection is malformed or belongs to another ground truth; the message begins with the detector's name.
    """
    data = read(ground_truth)
    truths = {kind: read_truth(data, kind) for kind in kinds}
    first = truths[kinds[0]]
    drawn = weights(len(first.image_ids), samples, seed)
    measured = {kind: _measure_all(truth, detections, kind, drawn, engine) for kind, truth in truths.items()}
    pairs = [(kind, pair) for kind in kinds for pair in compare if set(pair) <= measured[kind].keys()]
    return Analysis(
        len(first.image_ids),
        {name: Detector({kind: one[name].result for kind, one in measured.items() if name in one}) for name in detections},
        tuple(_compared(pair, kind, figure, measured[kind]) for kind, pair in pairs for figure in INTERVALS),
        _side_by_side(measured[pairs[0][0]], pairs[0][1], examples) if pairs else (),
        first.classes,
    )


class _Measured(NamedTuple):
    result: Scores
    matches: Matches
    resampled: dict[str, NDArray[np.float64]]


def _measure_all(
    truth: Truth, detections: Mapping[str, Detections], kind: Kind, drawn: NDArray[np.int32], engine: Engine
) -> dict[str, _Measured]:
    measured = {}
    for name, given in detections.items():
        if kind == "bbox" or any(isinstance(detection, Mapping) and "segmentation" in detection for detection in given):
            try:
                found = read_found(truth, given, kind)
            except ArtifactError as error:
                raise ArtifactError(f"{name}: {error}") from None
            measured[name] = _measure(truth, found, kind, drawn, engine)
    return measured


def _measure(truth: Truth, found: Found, kind: Kind, drawn: NDArray[np.int32], engine: Engine) -> _Measured:
    counts = count(truth, found, kind, engine=engine)
    figures = counts.named()
    matches = match(truth, found, kind)
    values = resampled(matches, drawn)
    result = Scores(
        figures,
        _per_class(truth, counts),
        counts.curves(),
        error_curves(matches),
        tide(matches),
        confusion(matches),
        Interval(LEVEL, {name: interval(figures[name], values[name]) for name in INTERVALS}),
    )
    return _Measured(result, matches, values)


def _per_class(truth: Truth, counts: Counts) -> dict[str, dict[str, float]]:
    """AP of each class, also at .5 and .75 and of one size, and its number of objects."""
    every = slice(None)
    chosen = {"AP": (every, 0), "AP50": (slice(AT_50, AT_50 + 1), 0), "AP75": (slice(AT_75, AT_75 + 1), 0)}
    chosen |= {f"AP{size}": (every, place) for place, size in enumerate(SIZES) if place}
    objects = truth.objects().tolist()
    return {
        name: {figure: mean(counts.precision[at, :, place, size]) for figure, (at, size) in chosen.items()} | {"objects": objects[place]}
        for place, name in enumerate(truth.classes)
    }


def _compared(pair: tuple[str, str], kind: Kind, figure: str, measured: Mapping[str, _Measured]) -> Comparison:
    a, b = (measured[name] for name in pair)
    resamples = a.resampled[figure] - b.resampled[figure]
    difference = a.result.figures[figure] - b.result.figures[figure]
    return Comparison(*pair, kind, figure, difference, *spread(resamples), LEVEL, two_sided_p(resamples), len(resamples))


def _side_by_side(measured: Mapping[str, _Measured], pair: tuple[str, str], limit: int) -> tuple[Example, ...]:
    return side_by_side({name: one.matches for name, one in measured.items()}, pair, limit=limit)
