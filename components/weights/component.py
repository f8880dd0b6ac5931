"""Stage 3: search the weights of the five losses together (Alg. 1, lines 13-18)."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def weights(
    teacher_config: str,
    teacher_checkpoint: str,
    student_config: str,
    student_checkpoint: str,
    inherit: bool,
    population: int,
    iterations: int,
    space: str,
    early_stop: bool,
    repeats: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    amp: bool,
    seed: int,
    work: str,
    subset: dsl.Input[dsl.Dataset],
    global_study: dsl.Input[dsl.Artifact],
    fgbg_study: dsl.Input[dsl.Artifact],
    instance_study: dsl.Input[dsl.Artifact],
    logits_study: dsl.Input[dsl.Artifact],
    localization_study: dsl.Input[dsl.Artifact],
    study: dsl.Output[dsl.Artifact],
    recipe: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
) -> None:
    """Hands on the recipe with the best search-val AP, which may be no distillation, and the journal of the search.

    Args:
        work: s3:// address (or folder) of unfinished work, from which another pod goes on; empty: a folder of this machine.
    """
    from pathlib import Path

    from detkds.pipeline import weights as stage
    from detkds.pipeline.kubeflow.outputs import hand_on
    from detkds.pipeline.settings import Pair, Schedule, WeightsPlan

    pair = Pair(teacher_config, teacher_checkpoint, student_config, student_checkpoint, inherit)
    plan = WeightsPlan(population, iterations, space, early_stop, repeats)
    proxy = Schedule(epochs, batch_size, learning_rate, amp, seed)
    studies = [Path(item.path) for item in (global_study, fgbg_study, instance_study, logits_study, localization_study)]
    result = stage.run(studies, pair, plan, proxy, subset=Path(subset.path), out=Path(study.path), recipe_out=Path(recipe.path), work=work)
    hand_on(result, study, recipe, metrics=metrics, summary=summary)
