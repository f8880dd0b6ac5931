"""What every section of run.yaml is, and the types that several of them use."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of run.yaml: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
