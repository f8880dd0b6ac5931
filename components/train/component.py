"""Stage 4: train the student on the whole training set, with a recipe or without distillation."""

from typing import Optional

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
    subset: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    recipe_text: str = "",
    semantics: str = "paper",
    nodes: int = 1,
    gpus: str = "1",
    image: str = "",
    recipe: Optional[dsl.Input[dsl.Artifact]] = None,  # noqa: UP045 - kfp reads this spelling only
) -> None:
    """Hands on student.pth, which stock mmdet loads with student.py beside it.

    Args:
        work: s3:// address (or folder) of unfinished work, from which another pod goes on; empty: a folder of this machine.
        recipe_text: A recipe as text or the name of a preset, where no recipe artifact is given; empty: no distillation.
        semantics: Meaning of the words of recipe_text.
        nodes: Nodes of the training; above 1 this task makes a TrainJob of Kubeflow Trainer and follows it.
        gpus: GPUs of each of several nodes, as text; a single node uses those that its pod has.
        image: Container image of the several nodes.
    """
    import json
    from pathlib import Path

    from detkds.pipeline import train as stage
    from detkds.pipeline.settings import Pair, Schedule

    pair = Pair(teacher_config, teacher_checkpoint, student_config, student_checkpoint, inherit)
    schedule = Schedule(epochs, batch_size, learning_rate, amp, seed)
    losses = stage.recipe_of(Path(recipe.path)) if recipe else stage.parse_recipe(recipe_text, semantics)
    data, out = Path(subset.path), Path(model.path)
    if nodes > 1:
        from detkds.pipeline.kubeflow import nodes as several

        result = several.run(pair, schedule, losses, subset=data, out=out, work=work, nodes=nodes, gpus=int(gpus), image=image)
    else:
        result = stage.run(pair, schedule, losses, subset=data, out=out, work=work)
    model.metadata.update(result.metadata)
    Path(metrics.path).write_text(json.dumps(dict(result.metrics)))
    for name, value in result.metrics.items():
        metrics.log_metric(name, value)
