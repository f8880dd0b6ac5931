"""Masks of objects: those of a data set on their way into training, and those a detector predicts on their way out.

For a detector without masks this costs nothing: its pipeline loads none and its results contain none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as run_lengths
from torch import nn

from detkds.errors import DatasetError
from detkds.evaluation import Kind

Mask = dict[str, Any]
"""COCO's compressed run-length code: size [height, width] in pixels of the original image, counts as text."""

Step = dict[str, Any]
"""One transform of a pipeline, as its config writes it."""


def predicts_masks(detector: nn.Module) -> bool:
    """Whether a detector finds masks beside boxes. RTMDet-Ins has its mask branch inside its box head."""
    return bool(getattr(detector, "with_mask", False)) or hasattr(getattr(detector, "bbox_head", None), "mask_head")


def measured_kind(detector: nn.Module) -> Kind:
    """The kind of AP that represents a detector wherever a single number is needed, such as the search's score: masks if it
    predicts them, as in the paper's Table 10, else boxes."""
    return "segm" if predicts_masks(detector) else "bbox"


def wanted(pipeline: Sequence[Step]) -> bool:
    """Whether a pipeline loads masks."""
    return any(step.get("with_mask") for step in pipeline)


def for_training(pipeline: Sequence[Step], truth: Mapping[str, Any], file: Path) -> list[Step]:
    """The pipeline with masks that the file's own form of them survives.

    mmdet's `poly2mask=False` keeps polygons as polygons and silently ignores every object whose mask is a run-length code; where the
    file has such objects, masks become bitmaps instead. Crowds are run-length codes too, but are ignored in training anyway.

    Args:
        truth: the COCO object that will be trained on.
        file: names it in errors.

    Raises:
        DatasetError: the pipeline loads masks and an annotation has none.
    """
    if not wanted(pipeline):
        return list(pipeline)
    require(truth, file)
    coded = any(isinstance(annotation["segmentation"], dict) and not annotation["iscrowd"] for annotation in truth["annotations"])
    return [{**step, "poly2mask": True} if coded and step.get("with_mask") else step for step in pipeline]


def require(truth: Mapping[str, Any], file: Path) -> None:
    """Refuse a COCO object with an object without a mask, as `for_training` does."""
    bare = [annotation["id"] for annotation in truth["annotations"] if not annotation.get("segmentation")]
    if bare:
        raise DatasetError(
            f"{file}: every annotation must have a mask for a detector of masks, but {len(bare)} of {len(truth['annotations'])} have no "
            f"segmentation, first annotation {bare[0]}; add them, or choose a detector of boxes."
        )


def for_testing(pipeline: Sequence[Step]) -> list[Step]:
    """The pipeline without masks and segmentation maps: prediction needs images only, but mmdet's configs load annotations nevertheless."""
    unwanted = ("with_mask", "with_seg")
    return [{**step, **{key: False for key in unwanted if key in step}} for step in pipeline]


def encode(masks: torch.Tensor) -> list[Mask]:
    """Predicted masks as COCO writes them.

    Args:
        masks: (N, H, W) bool, H and W those of the original image.
    """
    bitmaps = masks.detach().cpu().numpy().astype(np.uint8)
    codes = run_lengths.encode(np.asfortranarray(bitmaps.transpose(1, 2, 0)))
    return [{"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")} for code in codes]
