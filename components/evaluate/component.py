"""Stage 5: teacher, student without distillation and distilled student on the final test images."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def evaluate(
    plan: dict,
    subset: dsl.Input[dsl.Dataset],
    baseline: dsl.Input[dsl.Model],
    distilled: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Hands on the COCO figures and the detections of the three detectors.

    Args:
        plan: What this stage is told, as the task check hands it on.
    """
    from pathlib import Path

    from detkds.pipeline import evaluate as stage
    from detkds.pipeline.kubeflow import plans
    from detkds.pipeline.kubeflow.outputs import hand_on

    told = plans.read(plan)
    students = {"student": Path(baseline.path), "distilled": Path(distilled.path)}
    data, out = Path(subset.path), Path(evaluation.path)
    result = stage.run(
        told.teacher_config,
        told.teacher_checkpoint,
        students,
        subset=data,
        batch_size=told.batch_size,
        out=out,
        work=told.work,
        loggers=told.services,
    )
    hand_on(result, evaluation, metrics=metrics)
