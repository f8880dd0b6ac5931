"""A detector's config with the options of a run, and options that would have no effect: a key which the config almost has, and which mmdet
would take as a new one, and another number of classes than the data set has, in a head that options replace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from detkds.errors import ConfigError
from detkds.pipeline.run_config.detector import OWN_CLASSES

if TYPE_CHECKING:
    from mmengine.config import Config

    from detkds.pipeline.run_config import Detector

CLOSE = 0.85
"""Least ratio of difflib: `batchsize` and `batch_size` are this close, `norm_cfg` and `conv_cfg` are not."""


def configured(detector: Detector, *, trust: bool) -> Config:
    """The config of a detector with its options.

    Args:
        detector: of run.yaml.
        trust: run the Python code of a config file that is not mmdet's own.

    Raises:
        ConfigError: the config cannot be read, or an option is misspelt; one line for each.
    """
    from detkds.detectors.configs.data_config import read_config

    loaded = read_config(detector.config, trust=trust)
    if faults := list(misspelt(loaded, detector.options)):
        raise ConfigError("\n".join(f"{detector.config}, {fault}." for fault in faults))
    loaded.merge_from_dict(detector.options)
    return loaded


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


def other_class_counts(options: Mapping[str, Any], classes: int, above: str = "") -> Iterator[str]:
    """One line for each option that asks a student for another number of classes than its data set has.

    Args:
        options: keys, dotted or nested, and their values.
        classes: of the data set.
        above: the place of the options in the whole config, with a dot behind it.
    """
    for key, value in options.items():
        if OWN_CLASSES & set(key.split(".")):
            continue
        if isinstance(value, Mapping):
            yield from other_class_counts(value, classes, f"{above}{key}.")
        elif key.rpartition(".")[2] == "num_classes" and value != classes:
            yield f"{above}{key} is {value}, but the data set has {classes} classes, and the student gets as many; leave it out"
