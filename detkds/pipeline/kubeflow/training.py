"""The full training as a task of the pipeline: in this pod, or on several nodes of the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detkds.genome import Recipe
from detkds.pipeline import train
from detkds.pipeline.kubeflow import nodes as several
from detkds.pipeline.settings import Result
from detkds.pipeline.values import Values


def run(values: Values, recipe: Recipe, *, subset: Path, out: Path, image: str, found: bool = False) -> Result:
    """Publish a student at `out`, as `pipeline.train.run` does; on several nodes as a TrainJob of Kubeflow Trainer.

    Args:
        values: pair, schedule, address of unfinished work, and the number of nodes and of GPUs per node; a single node uses the GPUs that
            its pod has.
        recipe, subset, out, found: as there.
        image: container image of several nodes.

    Raises:
        DetKDSError: as `pipeline.train.run` and `pipeline.kubeflow.nodes.run`.
    """
    given: dict[str, Any] = {"subset": subset, "out": out, "work": values.work, "loggers": values.services}
    if values.train_nodes > 1:
        return several.run(values.pair, values.training, recipe, **given, image=image, nodes=values.train_nodes, gpus=values.gpus)
    return train.run(values.pair, values.training, recipe, **given, found=found)
