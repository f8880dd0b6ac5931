"""Stage 2: search the loss of one knowledge (Alg. 1, lines 1-12)."""

from kfp import dsl


@dsl.component(base_image="detkds", packages_to_install=[], install_kfp_package=False)
def evolve(
    knowledge: str,
    searched: str,
    teacher_config: str,
    teacher_checkpoint: str,
    student_config: str,
    student_checkpoint: str,
    inherit: bool,
    semantics: str,
    space: str,
    algorithm: str,
    population: int,
    iterations: int,
    sample_ratio: float,
    top_k: int,
    warm_start: str,
    early_stop: bool,
    repeats: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    amp: bool,
    seed: int,
    work: str,
    subset: dsl.Input[dsl.Dataset],
    study: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
) -> None:
    """Trains candidates on search-train, scores them on search-val and hands on the journal with the best genome.

    Args:
        knowledge: The knowledge of this task: global, fgbg, instance, logits or localization.
        searched: The knowledges of this run, comma-separated; a task of another one ends at once with an empty study.
        work: s3:// address (or folder) of unfinished work, from which another pod goes on; empty: a folder of this machine.
    """
    from pathlib import Path

    from detkds.pipeline import evolve as stage
    from detkds.pipeline.kubeflow.outputs import hand_on
    from detkds.pipeline.settings import Pair, Schedule, SearchPlan

    pair = Pair(teacher_config, teacher_checkpoint, student_config, student_checkpoint, inherit)
    plan = SearchPlan(semantics, space, algorithm, population, iterations, sample_ratio, top_k, warm_start, early_stop, repeats)
    proxy = Schedule(epochs, batch_size, learning_rate, amp, seed)
    result = stage.run(knowledge, pair, plan, proxy, searched=searched, subset=Path(subset.path), out=Path(study.path), work=work)
    hand_on(result, study, metrics=metrics, summary=summary)
