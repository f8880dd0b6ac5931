"""Subsets of growing size, each within the next, all with the whole's proportions: 5 % in 10 % in 20 %."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from detkds.data.sampling.counting import Counting
from detkds.data.sampling.pool import Coco, Pool, drawable, part_of, require_shares, size_of
from detkds.data.sampling.summary import part_summary, whole_summary
from detkds.errors import ConfigError


@dataclass(frozen=True)
class Nested:
    """Subsets of one COCO data set.

    Args:
        parts: COCO dicts by fraction, smallest first, each within the next; as in `Split`.
        summary: plain values: `seed`, `full` (see `summary.whole_summary`) and `parts`, by fraction as text (see `summary.part_summary`).
    """

    parts: dict[float, Coco]
    summary: dict[str, Any]


def nested(
    coco: Coco, fractions: Sequence[float], *, seed: int, counting: Counting | None = None, leave_out: Collection[int] = ()
) -> Nested:
    """Draw the largest subset from a valid data set, the next from the largest, and so on; each is as close to the whole as it can be.

    Args:
        coco: a valid COCO dict, as `load` gives it.
        fractions: shares of the images that may be drawn, above 0 and at most 1, in any order; each subset has at least one image.
        seed: the same seed, fractions and images give the same subsets, whatever the order of the file.
        counting: what counts as an object, how large it is, and which images may be drawn.
        leave_out: ids of images that may not be drawn.

    Raises:
        ConfigError: no fraction, or fractions or seed out of range.
        DatasetError: no image with objects that may be drawn, or two images with one id or one file.
    """
    if not fractions:
        raise ConfigError("nested subsets need at least one fraction, got none; give some, as in 0.05, 0.1, 0.2.")
    require_shares({f"fraction {share}": share for share in fractions}, below=1.0)
    whole = drawable(coco, counting, leave_out, at_least=1)
    pool = Pool(whole, seed)
    within, chosen = pool.everything, {}
    for share in sorted(set(fractions), reverse=True):
        chosen[share] = within = pool.take(size_of(share, len(within)), within)
    ascending = sorted(chosen.items())
    parts = {share: part_of(coco, whole, part) for share, part in ascending}
    summary = {"seed": seed, "full": whole_summary(whole)}
    return Nested(parts, summary | {"parts": {str(float(share)): part_summary(whole, part, seed) for share, part in ascending}})
