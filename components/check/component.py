"""Before anything asks for a GPU: everything that is wrong with a run, and what each stage is told."""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def check(
    run_name: str,
    dataset: str,
    teacher_config: str,
    teacher_checkpoint: str,
    student_config: str,
    results: str,
    epochs: int,
    gpus: int,
    settings: dict,
    budget: str = "paper-20",
    recipe: str = "",
) -> NamedTuple(  # type: ignore[valid-type]
    "Plans",
    [
        *(("gpus", str), ("one_gpu", str), ("subset", dict), ("evolve", dict), ("weights", dict)),
        *(("train", dict), ("evaluate", dict), ("report", dict)),
    ],
):
    """Passes on the plan of each stage, and how many GPUs a pod asks for, as the texts that its resources are made of.

    Args:
        run_name: Name of the run.
        dataset: Folder or s3:// address of a COCO-format data set.
        teacher_config: Config of the teacher.
        teacher_checkpoint: Address of the teacher's weights.
        student_config: Config of the student.
        results: Folder or s3:// address under which results are published.
        epochs: Epochs of the full training.
        gpus: GPUs of a searching or training task.
        settings: The sections data, student, search, train and store of a run.yaml, its seed and plugins.
        budget: How long to search: quick, paper-20, paper-40, `60 trainings`, or keys of the section search as JSON.
        recipe: A recipe as text or the name of a preset; empty where one is searched.
    """
    from detkds.pipeline.form import Form
    from detkds.pipeline.kubeflow import plans as stage

    detectors = {"teacher_config": teacher_config, "teacher_checkpoint": teacher_checkpoint, "student_config": student_config}
    form = Form(
        run_name=run_name, dataset=dataset, **detectors, results=results, epochs=epochs, gpus=gpus, budget=budget, settings=settings
    )
    return stage.run(form, recipe=recipe)
