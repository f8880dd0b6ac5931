"""A detector that somebody has trained, made to speak of the categories of a COCO file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from detkds.detectors.checkpoints import read_checkpoint
from detkds.detectors.configs.classes import label_order
from detkds.detectors.configs.config import adapt
from detkds.detectors.training.train import load_detector


@dataclass(frozen=True, slots=True)
class TrainedDetector:
    """A detector with its weights, in evaluation mode, its config, and the category id of each of its labels."""

    detector: nn.Module
    config: Config
    category_ids: tuple[int, ...]


def trained_detector(config: Config, checkpoint: Path, truth: Mapping[str, Any]) -> TrainedDetector:
    """Load a detector whose classes are those of `truth`, in whatever order.

    Its class names are those in the checkpoint, or else those of the config's own test data set; a detector without either is taken to
    have as many classes as the file, in the file's order.

    Raises:
        ConfigError: other classes, or another number of them.
        ArtifactError: the checkpoint is damaged or does not fit the config.
    """
    ids = {str(category["name"]): int(category["id"]) for category in truth["categories"]}
    stored = read_checkpoint(checkpoint).classes
    names = label_order(f"checkpoint {checkpoint}", stored, config, tuple(ids), "the annotation file")
    adapted = adapt(config, names, pretrained_backbone=True).config
    detector = load_detector(adapted, checkpoint, what="checkpoint")
    return TrainedDetector(detector, adapted, tuple(ids[name] for name in names))
