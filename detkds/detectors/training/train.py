"""A student from its first weights to a checkpoint that stock mmdet loads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmengine.config import Config
from torch import nn

from detkds.detectors.average_teacher import AverageTeacher
from detkds.detectors.backbone_teacher import detects
from detkds.detectors.checkpoints import (
    InheritReport,
    apply_backbone,
    apply_teacher,
    apply_weights,
    inherit,
    inheritable,
    load_weights,
    save_student,
)
from detkds.detectors.configs.config import build_detector
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.ensemble import members
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Progress, Training, TrainSettings
from detkds.detectors.training.parallel import Group
from detkds.detectors.training.unlabelled import UnlabelledSamples
from detkds.genome import Recipe
from detkds.unlabelled import Unlabelled


@dataclass(frozen=True, slots=True)
class Start:
    """What a student's first weights are.

    Args:
        inherit: neck and heads are the teacher's where names and shapes agree (the paper's "inherit" initialisation).
        backbone: a file with the backbone's weights, for example from ImageNet.
        checkpoint: a file with all of the student's weights; nothing is inherited then.
    """

    inherit: bool = True
    backbone: Path | None = None
    checkpoint: Path | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training: steps in all, and what was inherited (None where nothing was to be)."""

    steps: int
    inherited: InheritReport | None


def load_detector(config: Config, checkpoint: Path, *, what: str = "teacher checkpoint") -> nn.Module:
    """A detector, or a teacher's backbone, with the weights of a file, in evaluation mode.

    Raises:
        ArtifactError: the file is damaged or does not fit the config.
        ConfigError: the weights are those of another class count.
    """
    detector = build_detector(config, seed=0)
    apply_teacher(detector, load_weights(checkpoint), f"{what} {checkpoint}")
    return detector.eval()


def start_student(config: Config, start: Start, *, seed: int, teacher: nn.Module | None) -> tuple[nn.Module, InheritReport | None]:
    """A student with its first weights, the same bytes for the same arguments, and what it inherited.

    Args:
        config: adapted to the data set.
        start: where weights come from.
        seed: of the weights that come from nowhere else.
        teacher: to inherit from, of an ensemble the first; None inherits nothing.
    """
    student = build_detector(config, seed=seed)
    if start.checkpoint is not None:
        apply_weights(student, load_weights(start.checkpoint), f"student checkpoint {start.checkpoint}")
        return student, None
    if start.backbone is not None:
        apply_backbone(student, load_weights(start.backbone), f"backbone weights {start.backbone}")
    return student, inherit(student, members(teacher)[0]) if start.inherit and teacher is not None else None


def nothing_inherited(student: nn.Module, teacher: nn.Module, start: Start) -> str:
    """Why a student that starts so would inherit nothing of the teacher, of an ensemble the first; empty where it would something."""
    first = members(teacher)[0]
    if start.checkpoint is not None:
        return "all of the student's first weights are those of its checkpoint"
    if isinstance(first, AverageTeacher):
        return "the teacher is the moving average of the student, which is not there before the training"
    if not detects(first):
        return "the teacher is a backbone, which has neither neck nor head"
    if not inheritable(student, first).copied:
        return "no tensor of the student's neck and head has the name and shape of one of the teacher's"
    return ""


def _with_rate(training: Training, progress: Progress, step: int, steps: int, losses: Mapping[str, float]) -> None:
    progress(step, steps, {**losses, "lr": training.learning_rate})


def unlabelled_samples(config: Config, settings: TrainSettings, unlabelled: tuple[Source, Unlabelled]) -> UnlabelledSamples:
    """The images without labels of a training with these settings."""
    source, use = unlabelled
    return UnlabelledSamples(config, source, use, batch_size=settings.batch_size, seed=settings.seed)


def train(
    config: Config,
    source: Source,
    settings: TrainSettings,
    out: Path,
    *,
    teacher: nn.Module | None = None,
    recipe: Recipe | None = None,
    start: Start | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    group: Group | None = None,
    unlabelled: tuple[Source, Unlabelled] | None = None,
) -> Trained:
    """Train a detector and write it as a checkpoint for stock mmdet, with its config beside it (`.py`).

    Args:
        config: of the detector, adapted to the data set's classes.
        source: the training images.
        settings: see TrainSettings.
        out: where the trained detector's checkpoint goes; its folder exists.
        teacher: needed by a recipe with losses and for inheriting. Without one this is how a teacher itself is trained.
        recipe: the losses to add; None adds none.
        start: the first weights; None inherits from the teacher, if there is one.
        checkpoint: where the training's own state goes every so often, see `Training.run`; None cannot be resumed.
        progress: see `loop.Progress`; its losses also have the learning rate, as `lr`.
        group: the processes that train it together, see `parallel`; the first alone writes `out`.
        unlabelled: images without labels and how they are used; a recipe without losses does without them.

    Raises:
        Rejected: the loss became nan or infinite, or memory ran out.
        Interrupted: SIGTERM came; `checkpoint` is written.
        ArtifactError, ConfigError, DatasetError: as the parts say.
    """
    samples = Samples(config, source, training=True, seed=settings.seed)
    beside = unlabelled_samples(config, settings, unlabelled) if unlabelled and recipe and recipe.active else None
    student, inherited = start_student(config, start or Start(), seed=settings.seed, teacher=teacher)
    distiller = DistilledDetector(student, teacher, recipe or Recipe(), beside.use if beside else None)
    training = Training(distiller, config, samples, settings, group, beside)
    training.run(checkpoint=checkpoint, progress=progress and partial(_with_rate, training, progress))
    if training.group.rank == 0:
        save_student(student, out, classes=samples.classes, config=config)
    return Trained(training.total_steps, inherited)
