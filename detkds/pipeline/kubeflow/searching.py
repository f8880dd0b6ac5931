"""A study as a task of the pipeline: in this pod, or on several nodes of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detkds.pipeline import study_stage
from detkds.pipeline.settings import Result
from detkds.pipeline.task import WEIGHTS
from detkds.pipeline.values import Values


def run(
    study: str, told: Values, studies: Sequence[Path], *, subset: Path, out: Path, image: str, recipe_out: Path | None = None
) -> Result:
    """Publish a study at `out`, as the stages evolve and weights do; on several nodes as a TrainJob of Kubeflow Trainer.

    Args:
        study: a knowledge, or "weights".
        told: pair, plans, schedule, unfinished work, and on how many nodes with how many GPUs each.
        studies: those that a search over weights starts from.
        subset, out: as of the stages.
        image: container image of several nodes.
        recipe_out: where a search over weights publishes the recipe.

    Raises:
        DetKDSError: as the stages and `pipeline.kubeflow.nodes.search`.
    """
    if told.search_nodes > 1 and (study == WEIGHTS or study in told.searched.split(",")):
        from detkds.pipeline.kubeflow import nodes  # it imports mmdet, which a task without a search does not need

        return nodes.search(study, told, studies, subset=subset, out=out, recipe_out=recipe_out, image=image)
    return study_stage.run(study, told, studies, subset=subset, out=out, recipe_out=recipe_out)
