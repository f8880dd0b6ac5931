"""A pipeline that KFP compiles and that fails on a cluster. kfp reads annotations as they are: no `from __future__` here."""

from typing import Optional

from kfp import dsl


@dsl.component(base_image="detkds:0.1.0")
def late(study: Optional[dsl.Input[dsl.Artifact]] = None) -> None:  # type: ignore[valid-type]  # noqa: UP045 - kfp reads this only
    pass


@dsl.pipeline(name="late")
def pipeline() -> None:
    late()
