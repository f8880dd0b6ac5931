"""Teacher and student made ready for a data set, as the search and the training need them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from detkds.detectors.checkpoints import load_weights, read_checkpoint
from detkds.detectors.configs.config import adapt
from detkds.detectors.configs.data_config import SUFFIXES, read_config
from detkds.detectors.training.loop import TrainSettings
from detkds.detectors.training.train import Start, load_detector
from detkds.errors import ConfigError
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.workplace import local

if TYPE_CHECKING:
    from mmengine.config import Config

DEFAULT_BATCH_SIZE = 2


def detector_config(address: str, classes: Iterable[str], *, pretrained: bool) -> Config:
    """The config that `address` names, adapted to the classes."""
    path = local(address) if address.endswith(SUFFIXES) else None
    return adapt(read_config(address, path), tuple(classes), pretrained_backbone=pretrained).config


def teacher(config: str, checkpoint: str, classes: Iterable[str]) -> nn.Module:
    """The teacher with its weights, in evaluation mode."""
    if not checkpoint:
        raise ConfigError(f"the teacher {config} needs a checkpoint, got none; name a file or an s3:// address.")
    path, wanted = local(checkpoint), tuple(classes)
    stored = read_checkpoint(path).classes
    if stored is not None and len(stored) == len(wanted) and stored != wanted:
        raise ConfigError(
            f"the teacher checkpoint {checkpoint} tells {', '.join(stored[:5])} … apart, the data set {', '.join(wanted[:5])} …; "
            "order the categories alike, or give a teacher of these classes."
        )
    return load_detector(detector_config(config, wanted, pretrained=True), path)


def student(pair: Pair, classes: Iterable[str]) -> tuple[Config, Start]:
    """The student's config and where its first weights come from: a whole detector or a backbone, distinguished by their names."""
    config = detector_config(pair.student_config, classes, pretrained=bool(pair.student_checkpoint))
    if not pair.student_checkpoint:
        return config, Start(inherit=pair.inherit)
    path = local(pair.student_checkpoint)
    return config, start_from(path, pair.inherit)


def start_from(path: Path, inherit: bool) -> Start:
    """Start from a file of weights: those of a whole detector, or of a backbone alone."""
    whole = any(name.startswith("backbone.") for name in load_weights(path))
    return Start(inherit, checkpoint=path) if whole else Start(inherit, backbone=path)


def settings(schedule: Schedule, config: Config) -> TrainSettings:
    """The schedule with what it leaves open taken from the student's config."""
    batch_size = schedule.batch_size or config.get("train_dataloader", {}).get("batch_size", DEFAULT_BATCH_SIZE)
    return TrainSettings(
        epochs=schedule.epochs,
        batch_size=int(batch_size),
        seed=schedule.seed,
        learning_rate=schedule.learning_rate or None,
        amp=schedule.amp,
        checkpoint_every=200,
    )
