"""The full training as a task of the pipeline: in this pod, or on several nodes of the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detkds.genome import Recipe
from detkds.pipeline import train
from detkds.pipeline.kubeflow import nodes as several
from detkds.pipeline.settings import Result
from detkds.pipeline.values import Values


def run(told: Values, recipe: Recipe, *, subset: Path, out: Path, image: str) -> Result:
    """Publish a student at `out`, as `pipeline.train.run` does; on several nodes as a TrainJob of Kubeflow Trainer.

    Args:
        told: pair, schedule, unfinished work, and on how many nodes with how many GPUs each; a single node uses the GPUs that its pod has.
        recipe, subset, out: as there.
        image: container image of several nodes.

    Raises:
        DetKDSError: as `pipeline.train.run` and `pipeline.kubeflow.nodes.run`.
    """
    given: dict[str, Any] = {"subset": subset, "out": out, "work": told.work, "loggers": told.told}
    if told.train_nodes > 1:
        return several.run(told.pair, told.training, recipe, **given, image=image, nodes=told.train_nodes, gpus=told.gpus)
    return train.run(told.pair, told.training, recipe, **given)
