"""Stage 4 of a search: train the student on the whole training set with the recipe that was found."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def train_found(
    plan: dict,
    image: str,
    subset: dsl.Input[dsl.Dataset],
    recipe: dsl.Input[dsl.Artifact],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Hands on student.pth, which stock mmdet loads with student.py beside it.

    Args:
        plan: What this stage is told, as the task check hands it on.
        image: Container image of the nodes, where the plan has several: then this task makes a TrainJob of Kubeflow Trainer and follows it.
    """
    from pathlib import Path

    from detkds.pipeline.kubeflow import plans
    from detkds.pipeline.kubeflow import training as stage
    from detkds.pipeline.kubeflow.outputs import hand_on
    from detkds.pipeline.recipes import recipe_of

    told = plans.read(plan)
    losses = recipe_of(Path(recipe.path))
    result = stage.run(told, losses, subset=Path(subset.path), out=Path(model.path), image=image, found=True)
    hand_on(result, model, metrics=metrics)
