"""Stage 4: train the student on the whole training set, with a recipe that is known, or without distillation."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def train(
    plan: dict,
    image: str,
    subset: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    recipe: str = "",
) -> None:
    """Hands on student.pth, which stock mmdet loads with student.py beside it.

    Args:
        plan: What this stage is told, as the task check hands it on.
        image: Container image of the nodes, where the plan has several: then this task makes a TrainJob of Kubeflow Trainer and follows it.
        recipe: A recipe as text or the name of a preset; empty: no distillation.
    """
    from pathlib import Path

    from detkds.pipeline.kubeflow import plans
    from detkds.pipeline.kubeflow import training as stage
    from detkds.pipeline.kubeflow.outputs import hand_on
    from detkds.pipeline.recipes import parse_recipe

    told = plans.read(plan)
    losses = parse_recipe(recipe, told.semantics)
    result = stage.run(told, losses, subset=Path(subset.path), out=Path(model.path), image=image)
    hand_on(result, model, metrics=metrics)
