"""The sections `teacher` and `student`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from detkds.pairs import TIMM
from detkds.pipeline.run_config.address import located
from detkds.pipeline.run_config.data import Split
from detkds.pipeline.run_config.section import Count, Section

OWN_CLASSES = {"rpn_head", "semantic_head"}
"""Heads whose number of classes is not that of the data set."""


class TeacherTraining(Section):
    """How to train a teacher when there is no checkpoint: on `data` (default: the run's train split), from a backbone file if given."""

    epochs: Count
    data: Split | None = None
    backbone: str | None = None

    _located = field_validator("backbone")(lambda value, info: located(value, info))


class Detector(Section):
    """A detector: an mmdet config by name or file, with options merged over it, and a checkpoint."""

    config: str
    checkpoint: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("config")
    @classmethod
    def _config_file(cls, value: str, info: ValidationInfo) -> str:
        path = str(located(value, info))
        return path if Path(path).is_file() else value

    _located = field_validator("checkpoint")(lambda value, info: located(value, info))

    @field_validator("options")
    @classmethod
    def _no_class_count(cls, options: dict[str, Any]) -> dict[str, Any]:
        if given := next(class_counts(options), ""):
            raise ValueError(f"{given} has no effect: the classes of the data set decide how many a head distinguishes; leave it out")
        return options


def class_counts(options: Any, above: tuple[str, ...] = ()) -> Iterator[str]:
    """The places of options that set the number of classes of a head; not those that replace a whole head, which must name one, and not
    those of an RPN or a semantic head, which have their own.

    Args:
        options: keys, dotted or nested, and their values.
        above: the keys around them.
    """
    if isinstance(options, list):
        options = {str(place): item for place, item in enumerate(options)}
    for key, value in options.items() if isinstance(options, dict) and "type" not in options else ():
        place = (*above, *str(key).split("."))
        if place[-1] == "num_classes" and any(step.endswith("head") for step in place) and not OWN_CLASSES & set(place):
            yield ".".join(place)
        yield from class_counts(value, place)


class OtherTeacher(Detector):
    """A further teacher: a detector of the data's classes, or a backbone, with its weights. `weight` is its part of the mean."""

    checkpoint: str
    scale: Annotated[float, Field(ge=0.25, le=4)] = 1.0
    weight: Annotated[float, Field(gt=0)] = 1.0


class Teacher(Detector):
    """The teacher: a checkpoint, or `train` to make one first.

    It is shown the student's images, `scale` times as large, and must reach `min_ap` points of AP (0 to 100) on them before anything is
    distilled; without `min_ap` a quarter of what it reaches by its own pipeline, and at least 1.

    `config: timm/NAME` is a backbone of the package timm, whose features alone teach; it has no AP, and nothing is inherited from it.

    `others` teach beside it. `combine: mean` takes each loss as the mean over the teachers with their `weight`; `agreement` gives a teacher
    the share of a batch's images on which its detections agree best with the labels. `min_ap` holds for each of them.

    `teacher: self` is the student of the generation before: of the first one a student trained without distillation, of each further one
    that which the search and the training before it made. `generations` is how many are distilled; 0 for any other teacher.

    `teacher: average` is the moving average of the student in training, of which a step keeps the share `momentum`; None for any other
    teacher.
    """

    train: TeacherTraining | None = None
    momentum: Annotated[float, Field(ge=0.5, lt=1)] | None = None
    generations: Annotated[int, Field(ge=0, le=10)] = 0
    scale: Annotated[float, Field(ge=0.25, le=4)] = 1.0
    min_ap: Annotated[float, Field(ge=0, le=100)] | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0
    combine: Literal["mean", "agreement"] = "mean"
    others: tuple[OtherTeacher, ...] = ()

    @model_validator(mode="after")
    def _has_weights(self) -> Teacher:
        if self.momentum is None and (self.checkpoint is None) == (self.train is None):
            raise ValueError("give exactly one of `checkpoint` (a file or s3:// address) and `train` (how to make one)")
        return self

    @field_validator("min_ap")
    @classmethod
    def _in_points(cls, value: float | None) -> float | None:
        if value is not None and 0 < value < 1:
            raise ValueError(f"`min_ap` is in points of AP, 0 to 100: write {100 * value:g} for an AP of {value:g}, or 0 for no check")
        return value

    @property
    def is_backbone(self) -> bool:
        """Whether it is a backbone alone, by its name."""
        return self.config.startswith(TIMM)

    @model_validator(mode="after")
    def _several_teachers(self) -> Teacher:
        given = [key for key in ("combine", "weight") if key in self.model_fields_set]
        if given and not self.others:
            raise ValueError(f"`{given[0]}` says how several teachers are combined, and there is one; give `others`, or leave it out")
        if self.combine == "agreement":
            if backbones := [one.config for one in (self, *self.others) if one.config.startswith(TIMM)]:
                raise ValueError(
                    f"`combine: agreement` compares detections with labels, and {backbones[0]} is a backbone, which detects nothing; "
                    "write `combine: mean`"
                )
            if any("weight" in one.model_fields_set for one in (self, *self.others)):
                raise ValueError("`combine: agreement` chooses by the labels, so `weight` has no effect; leave it out")
        return self

    @model_validator(mode="after")
    def _backbone_detects_nothing(self) -> Teacher:
        if self.is_backbone and self.train is not None:
            raise ValueError(f"{self.config} is a backbone, which is not trained here; give `checkpoint`, the file of its weights")
        if self.is_backbone and self.min_ap is not None:
            raise ValueError(f"`min_ap` is for detectors, and {self.config} is a backbone, which detects nothing; leave it out")
        return self


class Student(Detector):
    """The student. `inherit` starts its neck and head from the teacher's where names and shapes agree."""

    inherit: bool = True

    @field_validator("config")
    @classmethod
    def _detects(cls, value: str) -> str:
        if value.startswith(TIMM):
            raise ValueError(f"{value} is a backbone, which detects nothing; give the config of a detector")
        return value
