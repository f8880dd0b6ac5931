"""Stage 2: search the loss of one knowledge (Alg. 1, lines 1-12)."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def evolve(
    knowledge: str,
    plan: dict,
    subset: dsl.Input[dsl.Dataset],
    study: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
) -> None:
    """Trains candidates on search-train, scores them on search-val and hands on the journal with the best genome.

    Args:
        knowledge: The knowledge of this task: global, fgbg, instance, logits or localization.
        plan: What this stage is told, as the task check hands it on; a knowledge that it does not search ends at once with an empty study.
    """
    from pathlib import Path

    from detkds.pipeline import evolve as stage
    from detkds.pipeline.kubeflow import plans
    from detkds.pipeline.kubeflow.outputs import hand_on

    told = plans.read(plan)
    result = stage.run(
        knowledge,
        told.pair,
        told.search_plan,
        told.proxy,
        searched=told.searched,
        subset=Path(subset.path),
        out=Path(study.path),
        work=told.work,
    )
    hand_on(result, study, metrics=metrics, summary=summary)
