"""Which classes a detector tells apart, and how many its weights do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from torch import nn

from detkds.detectors.configs.config import own_class_count


def class_count(detector: nn.Module) -> int | None:
    """The number of classes of a detector's box head, or None where it has no such head."""
    head: Any = getattr(getattr(detector, "roi_head", detector), "bbox_head", None)
    count = getattr(head[-1] if isinstance(head, nn.ModuleList) else head, "num_classes", None)
    return int(count) if count is not None else None


def named_classes(config: Config) -> tuple[str, ...] | None:
    """The class names that a config gives its test data set, itself or by the kind of data set, such as COCO's 80 for mmdet's own configs.

    None where it gives none, or another number of them than its heads tell apart.
    """
    dataset: Any = config.get("test_dataloader", {}).get("dataset", {})
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    kind = DATASETS.get(str(dataset.get("type")))
    names = (dataset.get("metainfo") or getattr(kind, "METAINFO", {})).get("classes", ())
    return tuple(map(str, names)) if len(names) == own_class_count(config) else None


def stored_class_count(shapes: Mapping[str, tuple[torch.Size, torch.Size]], classes: int) -> int | None:
    """The one other class count that explains why weights do not fit, or None where nothing or more than one does.

    A layer of a head with K classes has a K rows (sigmoid scores, boxes a class) or a (K + 1) (scores with background), for some whole a.

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
