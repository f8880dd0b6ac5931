"""The whole of DetKDS: check, subset, search (five evolutions and the weights), two trainings, evaluation, report."""

from kfp import dsl

from components.report_search.component import report_search
from components.train.component import train
from components.train_found.component import train_found
from pipelines import algorithm
from pipelines.parts import checked, drawn, evaluated
from pipelines.resources import chosen, light, training

DEFAULTS = chosen()


@dsl.pipeline(
    name="detkds-search", display_name="DetKDS search", description="Find the distillation that works best for a pair of detectors"
)
def search(
    run_name: str,
    dataset: str,
    teacher_config: str,
    teacher_checkpoint: str,
    student_config: str,
    results: str = "s3://detkds/runs",
    budget: str = "paper-20",
    epochs: int = 24,
    gpus: int = DEFAULTS.gpus,
    image: str = DEFAULTS.image,
    light_image: str = DEFAULTS.light_image,
    settings: dict = {},  # noqa: B006 - kfp writes it into the package
) -> None:
    """Search, train, evaluate, report.

    Args:
        run_name: Name of the run; results are published under it.
        dataset: Folder or s3:// address of a COCO-format data set.
        teacher_config: Config of the teacher: a name of mmdet's own or the address of a JSON config.
        teacher_checkpoint: Address of the teacher's weights.
        student_config: Config of the student, like the teacher's.
        results: s3:// address (or folder) that receives student, recipe, page and figures.
        budget: How long to search: quick, paper-20, paper-40, `60 trainings`, or keys of the section search of a run.yaml as JSON.
        epochs: Epochs of the full training.
        gpus: GPUs of a searching or training task.
        image: Container image of the tasks with a GPU, named by its digest.
        light_image: Container image of the tasks without a detector; the former does as well.
        settings: What has no field here: the sections data, student, search, train and store of a run.yaml, its seed and plugins, as JSON.
    """
    form = {"run_name": run_name, "dataset": dataset, "results": results, "budget": budget, "epochs": epochs, "gpus": gpus}
    detectors = {"teacher_config": teacher_config, "teacher_checkpoint": teacher_checkpoint, "student_config": student_config}
    plans = checked({**form, **detectors, "settings": settings}, light_image)
    subset = drawn(plans, light_image)

    found = algorithm.search(
        subset=subset, evolve_plan=plans["evolve"], weights_plan=plans["weights"], gpus=plans["gpus"], image=image
    ).set_display_name("search")

    told = {"plan": plans["train"], "subset": subset, "image": image}
    baseline = training(train(**told), image, "train-baseline", plans["gpus"]).outputs["model"]
    distilled = training(train_found(recipe=found.outputs["recipe"], **told), image, "train-distilled", plans["gpus"]).outputs["model"]

    evaluation = evaluated(plans, image, subset=subset, baseline=baseline, distilled=distilled)
    artifacts = {"subset": subset, "studies": found.outputs["studies"], "model": distilled, "evaluation": evaluation, "baseline": baseline}
    light(report_search(plan=plans["report"], **artifacts), light_image, "report").set_caching_options(False)
