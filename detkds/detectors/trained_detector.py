"""A detector that somebody has trained, made to speak of the categories of a COCO file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from detkds.detectors.checkpoints import read_checkpoint
from detkds.detectors.configs.classes import named_classes
from detkds.detectors.configs.config import adapt
from detkds.detectors.training.train import load_detector
from detkds.errors import ConfigError

FEW = 5  # names that a message gives


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
    names = read_checkpoint(checkpoint).classes or named_classes(config)
    if names is not None:
        _require_same(checkpoint, names, tuple(ids))
    adapted = adapt(config, names or tuple(ids), pretrained_backbone=True).config
    detector = load_detector(adapted, checkpoint, what="checkpoint")
    return TrainedDetector(detector, adapted, tuple(ids[name] for name in names or ids))


def _require_same(checkpoint: Path, own: Sequence[str], wanted: Sequence[str]) -> None:
    if sorted(own) == sorted(wanted):
        return
    unknown, missing = ([name for name in some if name not in others] for some, others in ((own, wanted), (wanted, own)))
    parts = [f"{what} {_few(names)}" for what, names in (("it alone knows", unknown), ("the file alone has", missing)) if names]
    raise ConfigError(
        f"the classes of {checkpoint} and of the annotation file must agree, but they are {len(own)} and {len(wanted)}"
        f"{''.join(f'; {part}' for part in parts)}; give annotations in the detector's own classes."
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
