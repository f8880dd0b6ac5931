"""A search-train and a search-val split of a train set: disjoint, seeded, with the whole's proportions of classes and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkds.data.exchange import stratify
from detkds.data.strata import SIZES, Strata, strata
from detkds.errors import ConfigError, DatasetError

Coco = dict[str, Any]


@dataclass(frozen=True)
class Split:
    """Two disjoint parts of one COCO data set.

    Args:
        search_train, search_val: COCO dicts. Images and annotations keep the order and all attributes of the whole (the entries
            are shared, not copied); info, licenses, categories and any other top-level key are the whole's.
        summary: plain values for a report: images, annotations and empty images of each part; how the parts' counts of each class
            and size relate to the whole's (see `_part_summary`); the classes a part lacks.
    """

    search_train: Coco
    search_val: Coco
    summary: dict[str, Any]


def split(coco: Coco, *, fraction: float, val_fraction: float, seed: int) -> Split:
    """Draw search-train and search-val from a valid train set.

    Images without objects (without annotations, or with crowd regions only) come in proportion too, but each part gets at least one
    image with objects. Each class with two images or more is in both parts where that is possible.

    Args:
        coco: a valid COCO dict, as `load` gives it.
        fraction: share of the images that search-train gets, above 0; at least one image.
        val_fraction: the same for search-val; both together at most 1.
        seed: the same seed, fractions and images give the same split, whatever the order of the file.

    Raises:
        ConfigError: fractions or seed out of range.
        DatasetError: fewer than two images with objects, or two images with one id or one file.
    """
    if not (0 < fraction < 1 and 0 < val_fraction < 1 and fraction + val_fraction <= 1 + 1e-9):
        raise ConfigError(
            f"search-train and search-val are disjoint shares above 0 that add up to at most 1, got fraction={fraction:g} and "
            f"val_fraction={val_fraction:g}; lower one of them."
        )
    if seed < 0:
        raise ConfigError(f"a seed is 0 or more, got {seed}.")
    whole = strata(coco)
    if whole.occupied.sum() < 2:
        raise DatasetError(
            f"a split needs at least two images with objects, got {whole.occupied.sum()} of {len(whole.image_ids)} images; add labels."
        )
    sizes = _sizes(len(whole.image_ids), fraction, val_fraction)
    part = _deal(whole, sizes, np.random.default_rng(seed))
    train, val = (_part(coco, whole.image_ids[part == p]) for p in (0, 1))
    _assert_disjoint(train, val)
    parts = {name: part == p for p, name in enumerate(("search_train", "search_val"))}
    summary = {"seed": seed, "fraction": fraction, "val_fraction": val_fraction, "full": _whole_summary(whole)}
    summary |= {name: _part_summary(whole, chosen) for name, chosen in parts.items()}
    return Split(train, val, summary)


def _sizes(images: int, fraction: float, val_fraction: float) -> tuple[int, int, int]:
    """Images of search-train, search-val and neither."""
    val = max(1, int(images * val_fraction + 0.5))
    train = min(max(1, int(images * fraction + 0.5)), images - val)
    return train, val, images - train - val


def _deal(whole: Strata, sizes: Sequence[int], rng: np.random.Generator) -> NDArray[np.int64]:
    """(N,) 0 for search-train, 1 for search-val, 2 for neither; images with and without objects are dealt separately."""
    occupied = np.flatnonzero(whole.occupied)
    empty = np.flatnonzero(~whole.occupied)
    shares = _shares(len(occupied), sizes)
    part = np.empty(len(whole.image_ids), dtype=np.int64)
    part[occupied] = stratify(whole.counts[occupied], shares[:2].tolist(), rng)
    part[empty] = rng.permutation(np.repeat(np.arange(len(sizes)), np.array(sizes) - shares))
    return part


def _shares(occupied: int, sizes: Sequence[int]) -> NDArray[np.int64]:
    """How many of the images with objects each part gets: in proportion by largest remainder, but at least one in both splits."""
    exact = np.array(sizes) * occupied / sum(sizes)
    shares = np.floor(exact).astype(np.int64)
    first = np.argsort(shares - exact, kind="stable")[: occupied - shares.sum()]
    shares[first] += 1
    for p in (0, 1):
        if shares[p] == 0:
            shares[p] += 1
            shares[shares.argmax()] -= 1
    return shares


def _part(coco: Coco, image_ids: NDArray[np.int64]) -> Coco:
    chosen = set(image_ids.tolist())
    images = [image for image in coco["images"] if image["id"] in chosen]
    annotations = [annotation for annotation in coco["annotations"] if annotation["image_id"] in chosen]
    return {**coco, "images": images, "annotations": annotations}


def _assert_disjoint(train: Coco, val: Coco) -> None:
    for key in ("id", "file_name"):
        seen = [image[key] for half in (train, val) for image in half["images"]]
        if len(seen) != len(set(seen)):
            twice = next(value for value in seen if seen.count(value) > 1)
            raise DatasetError(f"search-train and search-val share the image {key} {twice!r}: ids and file names must be unique.")


def _whole_summary(whole: Strata) -> dict[str, Any]:
    return {
        "images": len(whole.image_ids),
        "empty_images": int((~whole.occupied).sum()),
        "objects": int(whole.counts.sum()),
        "by_class_and_size": _table(whole, whole.counts.sum(0)),
    }


def _part_summary(whole: Strata, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    """Counts of a part and their closeness to the whole's.

    `proportion` is a part's count over the whole's, a class and size (None where the whole has none); `criterion` is COCO minitrain's,
    the largest proportion minus the smallest: 0 is best; `chi2` is sum (x - t)^2 / t with t the whole's count times the part's share
    of the images.
    """
    full, counts = whole.counts.sum(0), whole.counts[chosen].sum(0)
    some = full > 0
    proportion = counts[some] / full[some]
    target = full[some] * (chosen.sum() / len(chosen))
    ratios: list[float | None] = [None] * len(full)
    for column, ratio in zip(np.flatnonzero(some), proportion.tolist(), strict=True):
        ratios[column] = ratio
    of_class = counts.reshape(-1, len(SIZES)).sum(1)
    return {
        "images": int(chosen.sum()),
        "empty_images": int((chosen & ~whole.occupied).sum()),
        "objects": int(counts.sum()),
        "by_class_and_size": _table(whole, counts),
        "proportion": {name: dict(zip(SIZES, ratios[3 * k : 3 * k + 3], strict=True)) for k, name in enumerate(whole.classes)},
        "criterion": float(proportion.max() - proportion.min()),
        "chi2": float(((counts[some] - target) ** 2 / target).sum()),
        "missing_classes": [name for name, count in zip(whole.classes, of_class, strict=True) if count == 0],
    }


def _table(whole: Strata, counts: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    rows = counts.reshape(-1, len(SIZES)).tolist()
    return {name: dict(zip(SIZES, row, strict=True)) for name, row in zip(whole.classes, rows, strict=True)}
