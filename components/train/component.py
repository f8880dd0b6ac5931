"""Stage 4: train the student on the whole training set, with a recipe that is known, or without distillation."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def train(
    teacher_config: str,
    teacher_checkpoint: str,
    student_config: str,
    student_checkpoint: str,
    inherit: bool,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    amp: bool,
    seed: int,
    work: str,
    nodes: int,
    gpus: str,
    image: str,
    subset: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    recipe: str = "",
    semantics: str = "paper",
) -> None:
    """Hands on student.pth, which stock mmdet loads with student.py beside it.

    Args:
        work: s3:// address (or folder) of unfinished work, from which another pod goes on; empty: a folder of this machine.
        nodes: Nodes of the training; above 1 this task makes a TrainJob of Kubeflow Trainer and follows it.
        gpus: GPUs of each of several nodes, as text; a single node uses those that its pod has.
        image: Container image of the several nodes.
        recipe: A recipe as text or the name of a preset; empty: no distillation.
        semantics: Meaning of the words of the recipe.
    """
    from pathlib import Path

    from detkds.pipeline.kubeflow import training as stage
    from detkds.pipeline.kubeflow.outputs import hand_on
    from detkds.pipeline.settings import Pair, Schedule
    from detkds.pipeline.train import parse_recipe

    pair = Pair(teacher_config, teacher_checkpoint, student_config, student_checkpoint, inherit)
    schedule = Schedule(epochs, batch_size, learning_rate, amp, seed)
    losses, data, out = parse_recipe(recipe, semantics), Path(subset.path), Path(model.path)
    result = stage.run(pair, schedule, losses, subset=data, out=out, work=work, nodes=nodes, gpus=gpus, image=image)
    hand_on(result, model, metrics=metrics)
