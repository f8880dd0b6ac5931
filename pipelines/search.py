"""The whole of DetKDS: subset, five evolutions, weights, training, evaluation, report."""

from kfp import dsl

from components.evaluate.component import evaluate
from components.evolve.component import evolve
from components.report_search.component import report_search
from components.subset.component import subset
from components.train.component import train
from components.train_found.component import train_found
from components.weights.component import weights
from pipelines.resources import chosen, gpu, light

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
    results: str,
    train_annotations: str = "annotations/instances_train2017.json",
    train_images: str = "train2017",
    test_annotations: str = "annotations/instances_val2017.json",
    test_images: str = "val2017",
    data_version: str = "1",
    student_checkpoint: str = "",
    inherit: bool = True,
    searched: str = "global,fgbg,instance,logits,localization",
    semantics: str = "paper",
    space: str = "paper",
    algorithm: str = "evolution",
    population: int = 20,
    iterations: int = 20,
    sample_ratio: float = 0.9,
    top_k: int = 5,
    weights_population: int = 10,
    weights_iterations: int = 40,
    warm_start: str = "",
    early_stop: bool = True,
    subset_fraction: float = 0.2,
    search_val_fraction: float = 0.04,
    subset_sizes: str = "box",
    subset_crowd: str = "ignore",
    subset_empty: str = "share",
    proxy_epochs: int = 1,
    repeats: int = 1,
    race_candidates: int = 4,
    race_seeds: int = 3,
    race_epochs: int = 0,
    race_known: str = "fitnets,pkd,pkd x 20,cwd,cwd x 50",
    epochs: int = 24,
    batch_size: int = 0,
    learning_rate: float = 0.0,
    amp: bool = False,
    seed: int = 0,
    work: str = "s3://detkds/work",
    gpus: str = DEFAULTS.gpus,
    train_nodes: int = 1,
    image: str = DEFAULTS.image,
    light_image: str = DEFAULTS.light_image,
) -> None:
    """Search, train, evaluate, report.

    Args:
        run_name: Name of the run; results are published under it.
        dataset: Folder or s3:// address of a COCO-format data set.
        teacher_config: Config of the teacher: a name of mmdet's own or the address of a JSON config.
        teacher_checkpoint: Address of the teacher's weights.
        student_config: Config of the student, like the teacher's.
        results: s3:// address (or folder) that receives student, recipe, page and figures.
        train_annotations: Annotations of the training images, relative to dataset.
        train_images: Folder of the training images, relative to dataset.
        test_annotations: Annotations of the final test images, relative to dataset.
        test_images: Folder of the final test images, relative to dataset.
        data_version: Any text; another text runs everything anew.
        student_checkpoint: Address of weights that the student starts from; empty: none.
        inherit: Start neck and head from the teacher's where names and shapes agree.
        searched: Knowledges to search, comma-separated.
        semantics: Meaning of the words of a genome: paper or released.
        space: Search space: paper or extended.
        algorithm: evolution, random, mcts or tpe.
        population: Size P of the population in Alg. 1.
        iterations: Iterations T of Alg. 1 for a single knowledge.
        sample_ratio: Share r of the population in a pool.
        top_k: The parent is drawn from the k best of the pool.
        weights_population: Size of the population of weight vectors.
        weights_iterations: Iterations of the search over weights.
        warm_start: Presets that join the first population, comma-separated; `pkd x 20` multiplies the weights of one.
        early_stop: Stop a candidate's validation when its place is known.
        subset_fraction: Share of the training images that candidates are trained on.
        search_val_fraction: Share of the training images that candidates are scored on.
        subset_sizes: What makes an object small, medium or large where subsets are drawn: box or mask area.
        subset_crowd: Crowd regions: ignore, count as objects, or exclude their images.
        subset_empty: Images without objects: share, they come in proportion, or exclude.
        proxy_epochs: Epochs of a candidate's training.
        repeats: Trainings of a candidate that keeps up with the best, each with its own seed; its score is their mean.
        race_candidates: Candidates of the search in the final race; 0: no race, the highest score of the search wins.
        race_seeds: Seeds of the final race.
        race_epochs: Epochs of a training in the final race; 0: twice a candidate's.
        race_known: Known distillers of which the best two join the final race: presets, comma-separated.
        epochs: Epochs of the full training.
        batch_size: Images a step; 0: as the student's config says.
        learning_rate: Learning rate; 0: as the student's config says.
        amp: Mixed precision on a GPU.
        seed: Seed of everything that is drawn.
        work: s3:// address of unfinished work, from which a task that lost its pod goes on; a folder, or empty: on the pod only.
        gpus: GPUs of a searching or training task, as text: the backend knows no number here.
        train_nodes: Nodes of the full training; above 1 it is a TrainJob of Kubeflow Trainer, with `gpus` GPUs on each node.
            Filled in by hand, its task holds as many itself until the job ends; `detkds submit` spares them.
        image: Container image of the tasks with a GPU, named by its digest.
        light_image: Container image of the tasks without a detector; the former does as well.
    """
    teacher = {"teacher_config": teacher_config, "teacher_checkpoint": teacher_checkpoint}
    pair = {**teacher, "student_config": student_config, "student_checkpoint": student_checkpoint, "inherit": inherit}
    schedule = {"batch_size": batch_size, "learning_rate": learning_rate, "amp": amp, "seed": seed, "work": work}
    spread = {"nodes": train_nodes, "gpus": gpus, "image": image}

    data = light(
        subset(
            dataset=dataset,
            train_annotations=train_annotations,
            train_images=train_images,
            test_annotations=test_annotations,
            test_images=test_images,
            fraction=subset_fraction,
            val_fraction=search_val_fraction,
            sizes=subset_sizes,
            crowd=subset_crowd,
            empty=subset_empty,
            seed=seed,
            data_version=data_version,
        ),
        light_image,
        "subset",
    ).outputs["subset"]

    studies = {}
    for knowledge in ("global", "fgbg", "instance", "logits", "localization"):
        task = evolve(
            knowledge=knowledge,
            searched=searched,
            subset=data,
            semantics=semantics,
            space=space,
            algorithm=algorithm,
            population=population,
            iterations=iterations,
            sample_ratio=sample_ratio,
            top_k=top_k,
            warm_start=warm_start,
            early_stop=early_stop,
            repeats=repeats,
            epochs=proxy_epochs,
            **pair,
            **schedule,
        )
        studies[f"{knowledge}_study"] = gpu(task, image, f"evolve-{knowledge}", gpus).outputs["study"]

    combined = gpu(
        weights(
            subset=data,
            population=weights_population,
            iterations=weights_iterations,
            space=space,
            early_stop=early_stop,
            repeats=repeats,
            race_candidates=race_candidates,
            race_seeds=race_seeds,
            race_epochs=race_epochs,
            race_known=race_known,
            epochs=proxy_epochs,
            **studies,
            **pair,
            **schedule,
        ),
        image,
        "weights",
        gpus,
    ).outputs

    full = {"subset": data, "epochs": epochs, **pair, **schedule, **spread}
    baseline = gpu(train(**full), image, "train-baseline", gpus)
    distilled = gpu(train_found(recipe=combined["recipe"], **full), image, "train-distilled", gpus)

    figures = gpu(
        evaluate(subset=data, baseline=baseline.outputs["model"], distilled=distilled.outputs["model"], batch_size=batch_size, **teacher),
        image,
        "evaluate",
    ).outputs["evaluation"]

    page = report_search(
        run_name=run_name,
        results=results,
        subset=data,
        weights_study=combined["study"],
        model=distilled.outputs["model"],
        evaluation=figures,
        baseline=baseline.outputs["model"],
        teacher_checkpoint=teacher_checkpoint,
        **studies,
    )
    light(page, light_image, "report").set_caching_options(False)
