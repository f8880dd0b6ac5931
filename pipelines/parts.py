"""What the pipelines share: the check, the subset, the search, and how tasks receive what they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from components.check.component import check
from components.evaluate.component import evaluate
from components.subset.component import subset
from pipelines.resources import gpu, light

Channels = Mapping[str, dsl.pipeline_channel.PipelineChannel]


def checked(form: Mapping[str, Any], light_image: str) -> Channels:
    """The parameters of each stage, if the form has no fault. Never cached: what the form names may have been deleted."""
    return dict(light(check(**form), light_image, "check").set_caching_options(False).outputs)


def drawn(plans: Channels, light_image: str) -> Any:
    """The subset artifact."""
    return light(subset(plan=plans["subset"]), light_image, "subset").outputs["subset"]


def evaluated(plans: Channels, image: str, **artifacts: Any) -> Any:
    """The evaluation artifact."""
    return gpu(evaluate(plan=plans["evaluate"], **artifacts), image, "evaluate", plans["one_gpu"]).outputs["evaluation"]
