"""The full training as a task of the pipeline: in this pod, or on several nodes of the cluster."""

from __future__ import annotations

from pathlib import Path

from detkds.genome import Recipe
from detkds.pipeline import train
from detkds.pipeline.kubeflow import nodes as several
from detkds.pipeline.settings import Pair, Result, Schedule


def run(pair: Pair, schedule: Schedule, recipe: Recipe, *, subset: Path, out: Path, work: str, nodes: int, gpus: str, image: str) -> Result:
    """Publish a student at `out`, as `pipeline.train.run` does.

    Args:
        pair, schedule, recipe, subset, out, work: as there.
        nodes: how many; above 1 the training is a TrainJob of Kubeflow Trainer that this task makes and follows.
        gpus: GPUs of each of several nodes, as text; a single node uses those that its pod has.
        image: container image of several nodes.

    Raises:
        DetKDSError: as `pipeline.train.run` and `pipeline.kubeflow.nodes.run`.
    """
    if nodes > 1:
        return several.run(pair, schedule, recipe, subset=subset, out=out, work=work, nodes=nodes, gpus=int(gpus), image=image)
    return train.run(pair, schedule, recipe, subset=subset, out=out, work=work)
