"""What a run.yaml asks for that this machine does not have, and what a run does instead."""

from __future__ import annotations

from typing import Any

import pytest

from detkds.pipeline.preflight import different_here
from detkds.pipeline.run_config import RunConfig

SPLITS = {"train": {"annotations": "train.json"}, "test": {"annotations": "test.json"}}
RUN = {
    "name": "tiny",
    "data": {"root": "s3://b/data", **SPLITS},
    "teacher": {"config": "a", "checkpoint": "s3://b/a.pth"},
    "student": {"config": "b"},
}


@pytest.mark.parametrize(
    ("asked", "gpus", "lines"),
    [
        ({}, 0, []),
        ({"resources": {"gpus": 4}}, 0, ["resources.gpus is 4, and this machine has no GPU: a run here uses the CPU"]),
        ({"resources": {"gpus": 4}}, 1, ["resources.gpus is 4, and this machine has 1 GPU: a run here uses 1 GPU"]),
        ({"resources": {"gpus": 4}}, 8, []),
        ({"train": {"amp": "bf16"}}, 0, ["train.amp is bf16, and this machine has no GPU: a run here trains in float32"]),
        ({"train": {"amp": True}}, 1, []),
        (
            {"train": {"amp": True}, "resources": {"gpus": 0}},
            1,
            ["train.amp is true, and resources.gpus is 0: a run here trains in float32"],
        ),
        (
            {"resources": {"memory_gb": 32, "queue": "batch"}},
            1,
            ["resources.memory_gb, resources.queue: for a cluster, not read by a run here"],
        ),
    ],
)
def test_each_difference_is_one_line_and_says_what_a_run_here_does(asked: dict[str, Any], gpus: int, lines: list[str]) -> None:
    assert list(different_here(RunConfig.model_validate({**RUN, **asked}), gpus)) == lines
