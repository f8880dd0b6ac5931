"""The sections `store` and `resources`: where results go, and what a task gets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from detkds.pipeline.run_config.patterns import BUCKET
from detkds.pipeline.run_config.section import Count, Section


class StoreSection(Section):
    """Where results go. Endpoint and keys come from DETKDS_S3_* in the environment; without them the bucket is a folder.
    `work` is where a cluster keeps unfinished work: s3://BUCKET/work where it is not given, on the pod only where it is empty."""

    bucket: Annotated[str, Field(pattern=BUCKET)] = "detkds"
    work: str | None = None


class Resources(Section):
    """What a task requests from a cluster; on this machine only `gpus` matters: a search measures so many candidates at a time, a training
    shares each batch among so many, as far as the machine has them."""

    gpus: Annotated[int, Field(ge=0)] = 1
    cpu: Annotated[float, Field(gt=0)] | None = None
    memory_gb: Count | None = None
    shm_gb: Count | None = None
    cache_gb: Count | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    queue: str = ""

    @model_validator(mode="after")
    def _shared_memory_fits(self) -> Resources:
        if self.memory_gb and self.shm_gb and self.shm_gb >= self.memory_gb:
            raise ValueError(f"`shm_gb < memory_gb` must hold, since /dev/shm counts, but got {self.shm_gb} and {self.memory_gb}")
        return self
