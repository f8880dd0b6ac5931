"""A known recipe on a pair of detectors: check, subset, train with and without it, evaluate, report. No search."""

from kfp import dsl

from components.report.component import report
from components.train.component import train
from pipelines.parts import checked, drawn, evaluated
from pipelines.resources import chosen, light, training

DEFAULTS = chosen()


@dsl.pipeline(name="detkds-transfer", display_name="DetKDS transfer", description="Train a student with a known recipe")
def transfer(
    run_name: str,
    recipe: str,
    dataset: str,
    teacher_config: str,
    teacher_checkpoint: str,
    student_config: str,
    results: str = "s3://detkds/runs",
    epochs: int = 24,
    gpus: int = DEFAULTS.gpus,
    image: str = DEFAULTS.image,
    light_image: str = DEFAULTS.light_image,
    settings: dict = {},  # noqa: B006 - kfp writes it into the package
) -> None:
    """Train with a given recipe.

    Args:
        run_name: Name of the run; results are published under it.
        recipe: One genome a line, or the name of a preset.
        dataset: Folder or s3:// address of a COCO-format data set.
        teacher_config: Config of the teacher: a name of mmdet's own or the address of a JSON config.
        teacher_checkpoint: Address of the teacher's weights.
        student_config: Config of the student, like the teacher's.
        results: s3:// address (or folder) that receives student, recipe, page and figures.
        epochs: Epochs of the full training.
        gpus: GPUs of a searching or training task.
        image: Container image of the tasks with a GPU, named by its digest.
        light_image: Container image of the tasks without a detector; the former does as well.
        settings: What has no field here: the sections data, student, search, train and store of a run.yaml, its seed and plugins, as JSON.
    """
    form = {"run_name": run_name, "dataset": dataset, "results": results, "epochs": epochs, "gpus": gpus, "recipe": recipe}
    detectors = {"teacher_config": teacher_config, "teacher_checkpoint": teacher_checkpoint, "student_config": student_config}
    plans = checked({**form, **detectors, "settings": settings}, light_image)
    subset = drawn(plans, light_image)

    told = {"plan": plans["train"], "subset": subset, "image": image}
    baseline = training(train(**told), image, "train-baseline", plans["gpus"]).outputs["model"]
    distilled = training(train(recipe=recipe, **told), image, "train-distilled", plans["gpus"]).outputs["model"]

    evaluation = evaluated(plans, image, subset=subset, baseline=baseline, distilled=distilled)
    artifacts = {"subset": subset, "model": distilled, "evaluation": evaluation, "baseline": baseline}
    light(report(plan=plans["report"], **artifacts), light_image, "report").set_caching_options(False)
