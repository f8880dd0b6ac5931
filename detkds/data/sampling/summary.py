"""What a subset is like, as plain values for a report: how many images and objects, and how close to the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkds.data.sampling.closeness import chi2, criterion, ratios
from detkds.data.sampling.restarts import DRAWS, Restarts, restarts
from detkds.data.sampling.strata import SIZES, Strata

Chosen = NDArray[np.bool_]

WORST = 5


def whole_summary(whole: Strata) -> dict[str, Any]:
    """The images that may be drawn: `images`, `left_out` (those that may not), `empty_images`, `objects`, `by_class_and_size`,
    and `absent_classes`, which have no object."""
    totals = whole.totals()
    return {
        "images": len(whole.image_ids),
        "left_out": whole.left_out,
        "empty_images": int((~whole.occupied).sum()),
        "objects": int(totals.sum()),
        "by_class_and_size": _table(whole, totals.tolist()),
        "absent_classes": _without(whole, totals),
    }


def part_summary(whole: Strata, chosen: Chosen, seed: int) -> dict[str, Any]:
    """A part, and how close it is to the whole.

    Returns:
        `images`, `empty_images`, `objects`, `by_class_and_size` as for the whole; `ratio` (see `closeness.ratios`) of each class and
        size, None where the whole has none; `by_size`, the same of S, M and L over all classes; `criterion` and `chi2` (see
        `closeness`); `random`, the best of 1,000 random draws of as many images; `worst`, the five cells whose ratio is farthest
        from 1; `missing_classes`, which the whole has and the part has not.
    """
    full, counts = whole.totals(), whole.totals(chosen)
    live = full > 0
    ratio = np.full(len(full), np.nan)
    ratio[live] = ratios(counts[live].astype(np.float64), full[live].astype(np.float64))
    share = (chosen & whole.occupied).sum() / whole.occupied.sum()
    values = counts[live].astype(np.float64), full[live].astype(np.float64)
    return {
        "images": int(chosen.sum()),
        "empty_images": int((chosen & ~whole.occupied).sum()),
        "objects": int(counts.sum()),
        "by_class_and_size": _table(whole, counts.tolist()),
        "ratio": _table(whole, [None if value != value else value for value in ratio.tolist()]),
        "by_size": _by_size(counts, full),
        "criterion": float(criterion(*values)),
        "chi2": float(chi2(*values, float(share))),
        "random": at_random(whole, chosen, seed).to_json(),
        "worst": _worst(whole, counts, full, ratio),
        "missing_classes": [name for name in _without(whole, counts) if name not in _without(whole, full)],
    }


def at_random(whole: Strata, chosen: Chosen, seed: int, seconds: float | None = None) -> Restarts:
    """The best of random draws of as many images with objects as are chosen: of 1,000, or of as many as fit into `seconds`."""
    full = whole.totals()
    counts = whole.counts[whole.occupied][:, full > 0]
    size = int((chosen & whole.occupied).sum())
    return restarts(counts, size, np.random.default_rng(seed), draws=DRAWS if seconds is None else None, seconds=seconds)


def _by_size(counts: NDArray[np.int64], full: NDArray[np.int64]) -> dict[str, float | None]:
    drawn, whole = (values.reshape(-1, len(SIZES)).sum(0) for values in (counts, full))
    shares = zip(SIZES, drawn.tolist(), whole.tolist(), strict=True)
    return {size: (c / max(1, int(counts.sum()))) / (f / int(full.sum())) if f else None for size, c, f in shares}


def _worst(whole: Strata, counts: NDArray[np.int64], full: NDArray[np.int64], ratio: NDArray[np.float64]) -> list[dict[str, Any]]:
    live = np.flatnonzero(full)
    farthest = live[np.argsort(-abs(ratio[live] - 1), kind="stable")[:WORST]]
    return [
        {
            "class": whole.classes[cell // len(SIZES)],
            "size": SIZES[cell % len(SIZES)],
            "objects": int(counts[cell]),
            "of": int(full[cell]),
            "ratio": float(ratio[cell]),
        }
        for cell in farthest
    ]


def _without(whole: Strata, counts: NDArray[np.int64]) -> list[str]:
    of_class = counts.reshape(-1, len(SIZES)).sum(1)
    return [name for name, count in zip(whole.classes, of_class, strict=True) if count == 0]


def _table(whole: Strata, cells: list[Any]) -> dict[str, dict[str, Any]]:
    width = len(SIZES)
    return {name: dict(zip(SIZES, cells[width * k : width * (k + 1)], strict=True)) for k, name in enumerate(whole.classes)}
