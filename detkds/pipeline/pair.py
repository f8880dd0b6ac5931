"""Teacher and student made ready for a data set, as the search and the training need them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from detkds.detectors.average_teacher import AverageTeacher
from detkds.detectors.backbone_teacher import is_backbone
from detkds.detectors.checkpoints import load_weights, read_checkpoint
from detkds.detectors.configs.classes import label_order, named_classes
from detkds.detectors.configs.config import SUFFIXES, adapt, build_detector
from detkds.detectors.configs.data_config import read_config
from detkds.detectors.configs.pixels import colours
from detkds.detectors.ensemble import Ensemble
from detkds.detectors.normalization import show_scaled
from detkds.detectors.training.loop import TrainSettings
from detkds.detectors.training.moments import shortened_warm_up
from detkds.detectors.training.order import Order
from detkds.detectors.training.train import Start, load_detector
from detkds.errors import ConfigError, Rejected
from detkds.pipeline.progress import say
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.workplace import home, local
from detkds.storage.artifacts import write_atomic
from detkds.storage.manifest import file_sha256

if TYPE_CHECKING:
    from mmengine.config import Config

DEFAULT_BATCH_SIZE = 2
OF_A_BACKBONE = "a backbone, which detects nothing: its AP is not measured"
OF_AN_AVERAGE = "the moving average of the student in training; it exists only during the training, so its AP is not measured"
MOMENTUM = "momentum"
"""Of AS_TEACHER, where the teacher is the moving average of the student."""
AS_TEACHER = "as_teacher"
"""The key of a teacher's config that holds the run's settings for it, so that every stage reads them with the teacher."""


def detector_config(address: str, classes: Iterable[str], *, pretrained: bool) -> Config:
    """The config that `address` names, adapted to the classes."""
    return adapt(_given_config(address), tuple(classes), pretrained_backbone=pretrained).config


def _given_config(address: str) -> Config:
    """The config as it was written."""
    return read_config(address, local(address) if address.endswith(SUFFIXES) else None)


def classes_of_pair(pair: Pair, data: Iterable[str]) -> tuple[str, ...]:
    """The classes of a run in label order: that of the teacher's weights, else of the student's, else of the data.

    Args:
        pair: either detector may have no weights.
        data: class names of the data set, in its order.

    Raises:
        ConfigError: weights name other classes, the two name them in different orders, or the two decode images differently.
    """
    listed = tuple(data)
    if pair.teacher_config and pair.student_config:
        _require_same_colours(pair)
    teacher = _named("teacher", pair.teacher_config, pair.teacher_checkpoint, listed)
    student = _named("student", pair.student_config, pair.student_checkpoint, listed)
    if teacher and student and teacher != student:
        raise ConfigError(
            f"the teacher checkpoint {pair.teacher_checkpoint} and the student checkpoint {pair.student_checkpoint} list the same classes "
            f"in different orders, {', '.join(teacher[:3])} … and {', '.join(student[:3])} …; start the student without its checkpoint, "
            "or from one of the teacher's order."
        )
    return teacher or student or listed


def _require_same_colours(pair: Pair) -> None:
    ours, theirs = (colours(_given_config(address)) for address in (pair.student_config, pair.teacher_config))
    if ours != theirs:
        raise ConfigError(
            f"the student decodes images as {ours}, the teacher as {theirs}, and the teacher is shown the student's; "
            "give a pair that decodes alike (color_type of LoadImageFromFile)."
        )


def _named(role: str, config: str, checkpoint: str, data: tuple[str, ...]) -> tuple[str, ...] | None:
    """The label order of a whole detector's weights; None where there are none, or where nothing names their classes."""
    if not config or not checkpoint:
        return None
    path = local(checkpoint)
    if not _is_whole(path):
        return None
    stored, given = read_checkpoint(path).classes, _given_config(config)
    if not stored and not named_classes(given):
        return None
    return label_order(f"the {role} checkpoint {checkpoint}", stored, given, data, "the data set")


def teacher(config: str, checkpoint: str, classes: Iterable[str]) -> nn.Module:
    """The teacher with its weights, in evaluation mode; `classes` in its own label order, see `classes_of_pair`."""
    if is_average(config):
        return untrained(config, classes)
    if not checkpoint:
        raise ConfigError(f"the teacher {config} needs a checkpoint, got none; name a file or an s3:// address.")
    path = local(checkpoint)
    loaded = load_detector(detector_config(config, classes, pretrained=True), path)
    if copies := read_checkpoint(path).ignored:
        say("teacher", f"{copies} tensors ema_… of {checkpoint} are ignored: copies that mmdet 2's EMAHook leaves beside the weights")
    show_scaled(loaded, float((as_teacher(config) or {}).get("scale", 1.0)))
    return loaded


@dataclass(frozen=True)
class Other:
    """A teacher beside the first: its config as a data file, the address of its checkpoint, and its weight."""

    config: str
    checkpoint: str
    weight: float


def others(config: str) -> tuple[Other, ...]:
    """The teachers beside the first, as its config carries them."""
    found = []
    for one in (as_teacher(config) or {}).get("others", ()):
        path = home() / "configs" / f"{hashlib.sha256(one['config'].encode()).hexdigest()[:16]}.json"
        write_atomic(path, one["config"])
        found.append(Other(str(path), one["checkpoint"], float(one["weight"])))
    return tuple(found)


def teachers(pair: Pair, classes: tuple[str, ...]) -> nn.Module:
    """The teacher of a pair, or all its teachers as an ensemble; `classes` in the first one's label order.

    Raises:
        ConfigError: one cannot teach beside the first; the message says which.
    """
    first = teacher(pair.teacher_config, pair.teacher_checkpoint, classes)
    beside = others(pair.teacher_config)
    return ensemble(pair, first, [other_teacher(pair, other, classes) for other in beside])


def other_teacher(pair: Pair, other: Other, classes: tuple[str, ...]) -> nn.Module:
    """A teacher beside the first, with its weights.

    Raises:
        ConfigError: it decodes images differently, or its labels have another order or number.
    """
    _require_same_colours(replace(pair, teacher_config=other.config))
    named = _named("teacher", other.config, other.checkpoint, classes)
    if named and named != classes:
        raise ConfigError(
            f"the teacher checkpoint {other.checkpoint} lists the classes in another order than the first teacher's, "
            f"{', '.join(named[:3])} … and {', '.join(classes[:3])} …; give teachers of one order."
        )
    return teacher(other.config, other.checkpoint, classes)


def untrained(config: str, classes: Iterable[str]) -> nn.Module:
    """The teacher of a config without its weights."""
    built = build_detector(detector_config(config, classes, pretrained=True), seed=0)
    if is_average(config):
        return AverageTeacher(built, momentum(config))
    show_scaled(built, float((as_teacher(config) or {}).get("scale", 1.0)))
    return built


def ensemble(pair: Pair, first: nn.Module, beside: Sequence[nn.Module]) -> nn.Module:
    """The first teacher with those beside it, combined as its config says; itself where there are none."""
    asked = as_teacher(pair.teacher_config) or {}
    if not beside:
        return first
    weights = [float(asked["weight"]), *(other.weight for other in others(pair.teacher_config))]
    return Ensemble([first, *beside], weights, asked["combine"])


def detects(config: str) -> bool:
    """Whether the teacher of a config is a detector, and no backbone alone."""
    return not is_backbone(_given_config(config).model)


def is_average(config: str) -> bool:
    """Whether a config asks for the moving average of the student in the place of a teacher."""
    return MOMENTUM in (as_teacher(config) or {})


def momentum(config: str) -> float:
    """Of the moving average that a config asks for."""
    return float((as_teacher(config) or {})[MOMENTUM])


def not_measured(config: str) -> str:
    """Why no AP of the teacher of a config is measured; empty where it is."""
    if is_average(config):
        return OF_AN_AVERAGE
    return "" if detects(config) else OF_A_BACKBONE


def identity(config: str) -> dict[str, Any]:
    """What the teachers beside the first make of a training: their configs, weights and the content of their files."""
    beside = others(config)
    asked = as_teacher(config) or {}
    parts = [[Path(other.config).name, file_sha256(local(other.checkpoint)), other.weight] for other in beside]
    return {"others": [asked["combine"], asked["weight"], *parts]} if beside else {}


def backbone(config: str) -> dict[str, Any]:
    """What a config says of a backbone that teaches."""
    return dict(_given_config(config).model)


def as_teacher(config: str) -> Mapping[str, Any] | None:
    """A run's settings for a teacher, `scale` and `min_ap`, as its config carries them; None if it carries none."""
    asked: Mapping[str, Any] | None = _given_config(config).get(AS_TEACHER)
    return asked


def student(pair: Pair, classes: Iterable[str]) -> tuple[Config, Start]:
    """The student's config and where its first weights come from: a whole detector or a backbone, distinguished by their names."""
    config = detector_config(pair.student_config, classes, pretrained=bool(pair.student_checkpoint))
    if not pair.student_checkpoint:
        return config, Start(inherit=pair.inherit)
    path = local(pair.student_checkpoint)
    return config, start_from(path, pair.inherit)


def start_from(path: Path, inherit: bool) -> Start:
    """Start from a file of weights: those of a whole detector, or of a backbone alone."""
    return Start(inherit, checkpoint=path) if _is_whole(path) else Start(inherit, backbone=path)


def _is_whole(path: Path) -> bool:
    """Whether weights are those of a whole detector, not of a backbone alone."""
    return any(name.startswith("backbone.") for name in load_weights(path))


def remedy(rejected: Rejected, settings: TrainSettings, config: Config) -> Rejected:
    """The same rejection of a training, with what to change."""
    if rejected.kind in ("nan", "infinite"):
        own = config.get("optim_wrapper", {}).get("optimizer", {}).get("lr")
        rate = settings.learning_rate or own
        of_config = f" ({own:g} in the student's config)" if settings.learning_rate and own else ""
        text = f"lower train.learning_rate, which is {rate:g}{of_config}, or the weights of a recipe"
    elif rejected.kind == "out-of-memory":
        text = f"lower train.batch_size, which is {settings.batch_size}"
    else:
        return rejected
    return Rejected(rejected.kind, f"{rejected.detail}; {text}", rejected.student_steps)


def settings(schedule: Schedule, config: Config) -> TrainSettings:
    """The schedule with what it leaves open taken from the student's config."""
    batch_size = schedule.batch_size or config.get("train_dataloader", {}).get("batch_size", DEFAULT_BATCH_SIZE)
    return TrainSettings(
        epochs=schedule.epochs,
        batch_size=int(batch_size),
        seed=schedule.seed,
        learning_rate=schedule.learning_rate or None,
        amp=schedule.amp,
        channels_last=schedule.channels_last,
        compiled=schedule.compiled,
        checkpoint_every=200,
    )


def warm_up(settings: TrainSettings, config: Config, images: int) -> str:
    """For people: the warm-up that a training on so many images cuts short; empty where it lasts as long as the config says."""
    return shortened_warm_up(config, settings.epochs * Order.of(config).steps(images, settings.batch_size))
