"""Stage 2: search the loss of one knowledge (Alg. 1, lines 1-12)."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def evolve(
    knowledge: str,
    plan: dict,
    image: str,
    subset: dsl.Input[dsl.Dataset],
    study: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
) -> None:
    """Trains candidates on search-train, scores them on search-val and passes on the journal with the best genome.

    Args:
        knowledge: The knowledge of this task: global, fgbg, instance, logits or localization.
        plan: The plan of this stage, as the task check passes it on; a knowledge that it does not search ends at once with an empty study.
        image: Container image of the nodes, where the plan has several: then this task makes a TrainJob of Kubeflow Trainer and follows it.
    """
    from pathlib import Path

    from detkds.pipeline.kubeflow import plans
    from detkds.pipeline.kubeflow import searching as stage
    from detkds.pipeline.kubeflow.outputs import hand_on

    told = plans.read(plan)
    result = stage.run(knowledge, told, [], subset=Path(subset.path), out=Path(study.path), image=image)
    hand_on(result, study, metrics=metrics, summary=summary)
