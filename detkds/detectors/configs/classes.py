"""Which classes a detector tells apart, and how many its weights do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from torch import nn

from detkds.detectors.configs.config import own_class_count
from detkds.errors import ConfigError


def class_count(detector: nn.Module) -> int | None:
    """The number of classes of a detector's box head, or None where it has no such head."""
    head: Any = getattr(getattr(detector, "roi_head", detector), "bbox_head", None)
    count = getattr(head[-1] if isinstance(head, nn.ModuleList) else head, "num_classes", None)
    return int(count) if count is not None else None


FEW = 5
"""Names that a message gives."""


def named_classes(config: Config) -> tuple[str, ...] | None:
    """The class names that a config gives its data sets, in label order: its own, or those of the kind of data set, such as COCO's 80
    for mmdet's own configs.

    None where it gives none, or its kind of data set has another number of them than its heads tell apart.
    """
    if own := _own_names(config):
        return own
    kind = DATASETS.get(str(_datasets(config)[0].get("type")))
    names = getattr(kind, "METAINFO", {}).get("classes", ())
    return tuple(map(str, names)) if names and len(names) == own_class_count(config) else None


def _own_names(config: Config) -> tuple[str, ...] | None:
    """`metainfo.classes` of a data set of the config."""
    for dataset in _datasets(config):
        info = dataset.get("metainfo") or {}
        if names := info.get("classes") or info.get("CLASSES"):
            return (names,) if isinstance(names, str) else tuple(map(str, names))
    return None


def _datasets(config: Config) -> list[Any]:
    """The data sets of a config without their wrappers, the one for testing first."""
    found: list[Any] = [config.get(f"{loader}_dataloader", {}).get("dataset", {}) for loader in ("test", "val", "train")]
    for place, dataset in enumerate(found):
        while "dataset" in dataset:
            dataset = dataset["dataset"]
        found[place] = dataset
    return found


def label_order(what: str, stored: Sequence[str] | None, config: Config, data: Sequence[str], where: str) -> tuple[str, ...]:
    """The classes of trained weights in the order of their labels.

    Names are taken from the checkpoint, else from the config; names that only the kind of data set gives (COCO's 80) count where they are
    those of the data. Another number of names than the data has tells nothing of the weights, which say themselves for how many classes
    they are when they are applied. Weights that nobody names are taken to have the data's classes in the data's order.

    Args:
        what: names the weights in errors.
        stored: the names in the checkpoint.
        config: of the detector, as it was given.
        data: the class names of the data set.
        where: names the data set in errors.

    Raises:
        ConfigError: the names are not those of the data set.
    """
    names = stored or named_classes(config)
    certain = stored or _own_names(config)
    if names is None or len(names) != len(data) or (not certain and sorted(names) != sorted(data)):
        return tuple(data)
    require_same_classes(what, names, where, data)
    return tuple(names)


def require_same_classes(what: str, names: Sequence[str], where: str, data: Sequence[str]) -> None:
    """Refuse names that are not those of the data, in any order.

    Raises:
        ConfigError: the message says which names only one of the two has.
    """
    if sorted(names) == sorted(data):
        return
    unknown, missing = ([name for name in some if name not in others] for some, others in ((names, data), (data, names)))
    parts = [f"; {side} has {_few(listed)}" for side, listed in ((f"only {what}", unknown), (f"only {where}", missing)) if listed]
    raise ConfigError(
        f"the classes of {what} and of {where} must agree, but they are {len(names)} and {len(data)}{''.join(parts)}; "
        "name the categories of the data as the detector does, or give a detector of these classes."
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")


def stored_class_count(shapes: Mapping[str, tuple[torch.Size, torch.Size]], classes: int) -> int | None:
    """The one other class count that explains why weights do not fit, or None where nothing or more than one does.

    A layer of a head with K classes has a K rows (sigmoid scores, boxes per class) or a (K + 1) (scores with background), for some whole a.

    Args:
        shapes: of the tensors that do not fit, by name: (in the detector, in the weights).
        classes: K of the detector.
    """
    explained = []
    for own, stored in shapes.values():
        if own[1:] != stored[1:]:
            return None
        explained.append({count for background in (0, 1) for count in _rescaled(own[0], stored[0], classes, background)})
    common = set.intersection(*explained) - {classes} if explained else set()
    return common.pop() if len(common) == 1 else None


def _rescaled(rows: int, stored: int, classes: int, background: int) -> list[int]:
    a, rest = divmod(rows, classes + background)
    return [stored // a - background] if a and not rest and stored % a == 0 else []
