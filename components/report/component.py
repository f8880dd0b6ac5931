"""Stage 6 without a search: one page about the run, and the results under fixed keys of the object store."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def report(
    plan: dict,
    subset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    baseline: dsl.Input[dsl.Model],
    page: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
) -> None:
    """Shows the page in the UI and publishes student, recipe, page and figures for `detkds pull`.

    Args:
        plan: What this stage is told, as the task check hands it on.
    """
    from pathlib import Path

    from detkds.pipeline import report as stage
    from detkds.pipeline.kubeflow import plans
    from detkds.pipeline.kubeflow.outputs import hand_on

    told = plans.read(plan)
    result = stage.run(
        told.run_name,
        told.results,
        subset=Path(subset.path),
        studies=[],
        model=Path(model.path),
        evaluation=Path(evaluation.path),
        baseline=Path(baseline.path),
        teacher=told.teacher_checkpoint,
        work=told.work,
    )
    hand_on(result, page, summary=summary, page=page)
