"""Stage 3: search the weights of the five losses together (Alg. 1, lines 13-18)."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def weights(
    plan: dict,
    image: str,
    subset: dsl.Input[dsl.Dataset],
    global_study: dsl.Input[dsl.Artifact],
    fgbg_study: dsl.Input[dsl.Artifact],
    instance_study: dsl.Input[dsl.Artifact],
    logits_study: dsl.Input[dsl.Artifact],
    localization_study: dsl.Input[dsl.Artifact],
    studies: dsl.Output[dsl.Artifact],
    recipe: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
) -> None:
    """Hands on the winner of the final race, which may be no distillation, and all six studies of the search as one artifact.

    Args:
        plan: What this stage is told, as the task check hands it on.
        image: Container image of the nodes, where the plan has several: then this task makes a TrainJob of Kubeflow Trainer and follows it.
    """
    from pathlib import Path

    from detkds.pipeline.kubeflow import plans
    from detkds.pipeline.kubeflow import searching as stage
    from detkds.pipeline.kubeflow.outputs import hand_on
    from detkds.pipeline.study_set import gathering

    told = plans.read(plan)
    single = [Path(each.path) for each in (global_study, fgbg_study, instance_study, logits_study, localization_study)]
    with gathering(single, Path(studies.path)) as out:
        data, found = Path(subset.path), Path(recipe.path)
        result = stage.run("weights", told, single, subset=data, out=out, recipe_out=found, image=image)
    hand_on(result, studies, recipe, metrics=metrics, summary=summary)
