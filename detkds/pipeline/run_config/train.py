"""The section `train`: the schedule of the student's full training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from detkds.pipeline.run_config.section import Count, Section
from detkds.pipeline.settings import PRECISIONS


def known_precision(value: bool | str) -> bool | str:
    """How a training is mixed in precision: not, as the student's config says, or in a type.

    Raises:
        ValueError: it is something else.
    """
    found = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if not isinstance(found, bool) and found not in PRECISIONS:
        raise ValueError(f"must be true, false, {' or '.join(PRECISIONS)}, but got {value!r}")
    return found


class Train(Section):
    """The student's schedule; what is left out comes from its mmdet config. `nodes` above 1 need a cluster with Kubeflow Trainer."""

    epochs: Count = 24
    nodes: Count = 1
    batch_size: Count | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    amp: Annotated[bool | str, AfterValidator(known_precision)] = False
    channels_last: bool = False
    compiled: bool = False
    loggers: tuple[Literal["wandb", "mlflow"], ...] = ()
