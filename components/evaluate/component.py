"""Stage 5: teacher, student without distillation and distilled student on the final test images."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def evaluate(
    teacher_config: str,
    teacher_checkpoint: str,
    batch_size: int,
    subset: dsl.Input[dsl.Dataset],
    baseline: dsl.Input[dsl.Model],
    distilled: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Hands on the COCO figures and the detections of the three detectors."""
    from pathlib import Path

    from detkds.pipeline import evaluate as stage
    from detkds.pipeline.kubeflow.outputs import hand_on

    students = {"student": Path(baseline.path), "distilled": Path(distilled.path)}
    result = stage.run(
        teacher_config, teacher_checkpoint, students, subset=Path(subset.path), batch_size=batch_size, out=Path(evaluation.path)
    )
    hand_on(result, evaluation, metrics=metrics)
