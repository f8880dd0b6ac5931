"""Options that name a key which the detector's config almost has: mmdet would take the misspelt key as a new one, without any effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

CLOSE = 0.85
"""Least ratio of difflib: `batchsize` and `batch_size` are this close, `norm_cfg` and `conv_cfg` are not."""


def misspelt(config: Mapping[str, Any], options: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """One line for each option whose key is new to the config and close to one that stands there.

    Args:
        config: of the detector, without the options.
        options: keys, dotted or nested, and their values.
        above: the place of both in the whole config, with a dot behind it.
    """
    for key, value in options.items():
        first, _, rest = key.partition(".")
        below = {rest: value} if rest else value
        if first in config:
            if isinstance(config[first], Mapping) and isinstance(below, Mapping) and not below.get("_delete_"):
                yield from misspelt(config[first], below, f"{above}{first}.")
        elif near := get_close_matches(first, config, n=1, cutoff=CLOSE):
            meant = f"did you mean {above}{near[0]}? Put a key that really is new into a config file"
            yield f"options: the config has no key {above}{first}: {meant}"
