"""A search-train and a search-val split of a train set: disjoint, seeded, with the whole's proportions of classes and sizes."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from detkds.data.sampling.counting import Counting
from detkds.data.sampling.pool import Chosen, Coco, Pool, drawable, part_of, require_shares, size_of
from detkds.data.sampling.restarts import Restarts
from detkds.data.sampling.summary import at_random, part_summary, whole_summary
from detkds.errors import ConfigError


@dataclass(frozen=True)
class Split:
    """Disjoint parts of one COCO data set, and parts of a part.

    Args:
        search_train, search_val: COCO dicts. Images and annotations keep the order and all attributes of the whole (the entries
            are shared, not copied); info, licenses, categories and any other top-level key are the whole's.
        nested: parts of search_train of growing size, by their fraction of the whole; each lies within the next.
        summary: plain values for a report, the same for the same input: `full` (see `summary.whole_summary`) and `parts` by name,
            search_train, search_val and `nested_name` of each fraction (see `summary.part_summary`).
        seconds: how long the draw of search_train took.
        equal_time: what random draws of as many images as search_train's reached in that time.
    """

    search_train: Coco
    search_val: Coco
    nested: dict[float, Coco]
    summary: dict[str, Any]
    seconds: float
    equal_time: Restarts


def nested_name(fraction: float) -> str:
    """The name of a nested part in summaries and files: search_train_0.05."""
    return f"search_train_{float(fraction)}"


def split(
    coco: Coco,
    *,
    fraction: float,
    val_fraction: float,
    seed: int,
    nested: Sequence[float] = (),
    counting: Counting | None = None,
    leave_out: Collection[int] = (),
) -> Split:
    """Draw search-train and search-val from a valid train set, and parts of search-train within each other.

    search-val is drawn first, search-train from what is left, nested parts from search-train. Each part gets at least one image with
    objects. Each class with two images or more is in both splits where that is possible; a class with one image is left to
    search-train.

    Args:
        coco: a valid COCO dict, as `load` gives it.
        fraction: share of the images that search-train gets, above 0; at least one image.
        val_fraction: the same for search-val; both together at most 1.
        seed: the same seed, fractions and images give the same split, whatever the order of the file.
        nested: shares of the images, each above 0 and at most `fraction`.
        counting: what counts as an object, how large it is, and which images may be drawn; fractions are of the latter.
        leave_out: ids of images that may not be drawn.

    Raises:
        ConfigError: fractions or seed out of range.
        DatasetError: fewer than two images with objects that may be drawn, or two images with one id or one file.
    """
    require_shares({"fraction": fraction, "val_fraction": val_fraction}, below=1.0)
    require_shares({f"nested {share}": share for share in nested}, below=fraction)
    if fraction + val_fraction > 1 + 1e-9:
        raise ConfigError(
            f"search-train and search-val are disjoint shares that add up to at most 1, got fraction={fraction:g} and "
            f"val_fraction={val_fraction:g}; lower one of them."
        )
    whole = drawable(coco, counting, leave_out, at_least=2)
    chosen, seconds = _drawn(Pool(whole, seed), fraction, val_fraction, sorted(set(nested), reverse=True))
    parts = {name: part_of(coco, whole, part) for name, part in chosen.items()}
    summary = {"seed": seed, "fraction": fraction, "val_fraction": val_fraction, "full": whole_summary(whole)}
    summary["parts"] = {name: part_summary(whole, part, seed) for name, part in chosen.items()}
    train, val = parts.pop("search_train"), parts.pop("search_val")
    equal_time = at_random(whole, chosen["search_train"], seed, seconds)
    return Split(train, val, {share: parts[nested_name(share)] for share in sorted(set(nested))}, summary, seconds, equal_time)


def _drawn(pool: Pool, fraction: float, val_fraction: float, nested: Sequence[float]) -> tuple[dict[str, Chosen], float]:
    """The images of each part by name, and the seconds that search_train took; `nested` descends."""
    images = len(pool.everything)
    val_size = min(size_of(val_fraction, images), images - 1)
    val = pool.take(val_size, pool.everything, leave=True)
    began = time.perf_counter()
    within = pool.take(min(size_of(fraction, images), images - val_size), ~val)
    seconds = time.perf_counter() - began
    chosen = {"search_train": within, "search_val": val}
    for share in nested:
        chosen[nested_name(share)] = within = pool.take(min(size_of(share, images), int(within.sum())), within)
    return chosen, seconds
