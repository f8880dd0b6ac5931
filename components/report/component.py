"""Stage 6 without a search: one page about the run, and the results under fixed keys of the object store."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def report(
    run_name: str,
    results: str,
    teacher_checkpoint: str,
    subset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    baseline: dsl.Input[dsl.Model],
    page: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
) -> None:
    """Shows the page in the UI and publishes student, recipe, page and figures for `detkds pull`.

    Args:
        run_name: Name of the run, part of the keys.
        results: Folder or s3:// address under which results are published.
        teacher_checkpoint: Address of the teacher's weights.
    """
    from pathlib import Path

    from detkds.pipeline import report as stage
    from detkds.pipeline.kubeflow.outputs import hand_on

    result = stage.run(
        run_name,
        results,
        subset=Path(subset.path),
        studies=[],
        model=Path(model.path),
        evaluation=Path(evaluation.path),
        baseline=Path(baseline.path),
        teacher=teacher_checkpoint,
    )
    hand_on(result, page, summary=summary, page=page)
