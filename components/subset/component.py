"""Stage 1: validate the data set and draw search-train and search-val from its training images."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def subset(plan: dict, subset: dsl.Output[dsl.Dataset], summary: dsl.Output[dsl.Markdown]) -> None:
    """Hands on train.json, search_train.json, search_val.json and test.json; no image is moved.

    Args:
        plan: What this stage is told, as the task check hands it on.
    """
    from pathlib import Path

    from detkds.pipeline import subset as stage
    from detkds.pipeline.kubeflow import plans
    from detkds.pipeline.kubeflow.outputs import hand_on

    told = plans.read(plan)
    result = stage.run(
        told.source,
        fraction=told.subset_fraction,
        val_fraction=told.search_val_fraction,
        seed=told.seed,
        out=Path(subset.path),
        counting=told.counting,
    )
    hand_on(result, subset, summary=summary)
