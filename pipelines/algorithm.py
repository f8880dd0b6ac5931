"""Algorithm 1 as a pipeline inside the pipeline: five searches of a loss, and the search of their weights. One box that opens."""

from typing import NamedTuple

from kfp import dsl

from components.evolve.component import evolve
from components.weights.component import weights
from pipelines.resources import gpu


class Found(NamedTuple):
    """What leaves the box."""

    recipe: dsl.Artifact
    studies: dsl.Artifact


@dsl.pipeline(name="search", description="Algorithm 1: the loss of each knowledge, then their weights")
def search(subset: dsl.Input[dsl.Dataset], evolve_plan: dict, weights_plan: dict, gpus: str, image: str) -> Found:
    """The recipe that was found, and the six studies as one artifact.

    Args:
        subset: The subset artifact.
        evolve_plan: Parameters of the stage evolve.
        weights_plan: Parameters of the stage weights.
        gpus: GPUs of each task, as text.
        image: Container image of each task.
    """
    studies = {}
    for knowledge in ("global", "fgbg", "instance", "logits", "localization"):
        task = gpu(evolve(knowledge=knowledge, plan=evolve_plan, image=image, subset=subset), image, f"evolve-{knowledge}", gpus)
        studies[f"{knowledge}_study"] = task.outputs["study"]
    found = gpu(weights(plan=weights_plan, image=image, subset=subset, **studies), image, "weights", gpus)
    return Found(found.outputs["recipe"], found.outputs["studies"])
