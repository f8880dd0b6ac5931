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
    race_candidates: int,
    race_seeds: int,
    race_epochs: int,
    race_known: str,
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
    """Hands on the winner of the final race, which may be no distillation, and the journals of search and race.

    Args:
        work: s3:// address (or folder) of unfinished work, from which another pod goes on; empty: a folder of this machine.
    """
    from pathlib import Path

    from detkds.pipeline import weights as stage
    from detkds.pipeline.kubeflow.outputs import hand_on
    from detkds.pipeline.settings import Pair, RacePlan, Schedule, WeightsPlan

    pair = Pair(teacher_config, teacher_checkpoint, student_config, student_checkpoint, inherit)
    plan = WeightsPlan(population, iterations, space, early_stop, repeats)
    proxy = Schedule(epochs, batch_size, learning_rate, amp, seed)
    studies = [Path(item.path) for item in (global_study, fgbg_study, instance_study, logits_study, localization_study)]
    final = RacePlan(race_candidates, race_seeds, race_epochs, race_known)
    result = stage.run(
        studies, pair, plan, proxy, final=final, subset=Path(subset.path), out=Path(study.path), recipe_out=Path(recipe.path), work=work
    )
    hand_on(result, study, recipe, metrics=metrics, summary=summary)
