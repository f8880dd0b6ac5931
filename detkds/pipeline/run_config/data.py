"""The section `data`: the images of a run, with labels and without."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from detkds.genome import Knowledge
from detkds.pipeline.run_config.address import located
from detkds.pipeline.run_config.section import Section
from detkds.unlabelled import Unlabelled as UnlabelledUse

UNLABELLED = UnlabelledUse()
"""The defaults of data.unlabelled."""


class Split(Section):
    """One COCO annotation file and the folder of its images, both relative to `data.root`."""

    annotations: str
    images: str = ""


class Unlabelled(Section):
    """Images without labels, which the distillation losses are taken of too: a folder relative to `data.root`, or an address of its own.

    `share` of a step's images are unlabelled, beside as many labelled ones as ever; `schedule` is that of their weight, `constant` or
    `ramp`; a detection of the teacher of `min_score` or more stands for an object; `knowledge` names the losses that use them; with
    `search` it is part of the search which of these do.
    """

    images: Annotated[str, Field(min_length=1)]
    share: Annotated[float, Field(gt=0, le=0.95)] = UNLABELLED.share
    schedule: Literal["constant", "ramp"] = "constant"
    min_score: Annotated[float, Field(gt=0, le=1)] = UNLABELLED.min_score
    knowledge: tuple[Knowledge, ...] = tuple(Knowledge)
    search: bool = False

    @model_validator(mode="after")
    def _one_choice(self) -> Unlabelled:
        if self.search and set(self.knowledge) != set(Knowledge):
            raise ValueError("with `search: true` the search chooses which losses use these images, so leave `knowledge` out")
        return self


class Data(Section):
    """The data set: `root` is a folder, an `s3://bucket/prefix`, or on a cluster a volume claim, `pvc://claim/path`.
    Another `version`, any text or number, runs everything again."""

    root: str
    train: Split
    test: Split
    unlabelled: Unlabelled | None = None
    version: Annotated[str, BeforeValidator(str)] = ""

    _located = field_validator("root")(lambda value, info: located(value, info))
