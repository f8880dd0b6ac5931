"""Stage 6: one page about the run, and the results under fixed keys of the object store."""

from typing import Optional

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def report(
    run_name: str,
    results: str,
    subset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    baseline: dsl.Input[dsl.Model],
    teacher_checkpoint: str,
    page: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    global_study: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045
    fgbg_study: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045
    instance_study: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045
    logits_study: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045
    localization_study: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045
    weights_study: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045
) -> None:
    """Shows the page in the UI and publishes student, recipe, page and figures for `detkds pull`.

    Args:
        run_name: Name of the run, part of the keys.
        results: Folder or s3:// address under which results are published.
        teacher_checkpoint: Address of the teacher's weights.
    """
    from pathlib import Path

    from detkds.pipeline import report as stage

    studies = [global_study, fgbg_study, instance_study, logits_study, localization_study, weights_study]
    result = stage.run(
        run_name,
        results,
        subset=Path(subset.path),
        studies=[Path(study.path) for study in studies if study],
        model=Path(model.path),
        evaluation=Path(evaluation.path),
        baseline=Path(baseline.path),
        teacher=teacher_checkpoint,
    )
    Path(page.path).write_text(result.page)
    Path(summary.path).write_text(result.markdown)
    page.metadata.update(result.metadata)
