"""A known recipe on a pair of detectors: train with and without it, evaluate, report. No search."""

from kfp import dsl

from components.evaluate.component import evaluate
from components.report.component import report
from components.subset.component import subset
from components.train.component import train
from pipelines.resources import chosen, gpu, light

DEFAULTS = chosen()


@dsl.pipeline(name="detkds-transfer", display_name="DetKDS transfer", description="Train a student with a known recipe")
def transfer(
    run_name: str,
    recipe: str,
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
    semantics: str = "paper",
    subset_fraction: float = 0.2,
    search_val_fraction: float = 0.04,
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
    """Train with a given recipe.

    Args:
        run_name: Name of the run; results are published under it.
        recipe: One genome a line, or the name of a preset.
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
        semantics: Meaning of the words of a genome: paper or released.
        subset_fraction: Share of the training images in search-train, as in the search pipeline.
        search_val_fraction: Share of the training images in search-val.
        epochs: Epochs of the training.
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
    schedule = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "amp": amp, "seed": seed, "work": work}
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
            sizes="box",
            crowd="ignore",
            empty="share",
            seed=seed,
            data_version=data_version,
        ),
        light_image,
        "subset",
    ).outputs["subset"]

    full = {"subset": data, **pair, **schedule, **spread}
    baseline = gpu(train(**full), image, "train-baseline", gpus)
    distilled = gpu(train(recipe=recipe, semantics=semantics, **full), image, "train-distilled", gpus).outputs["model"]

    figures = gpu(
        evaluate(subset=data, baseline=baseline.outputs["model"], distilled=distilled, batch_size=batch_size, **teacher),
        image,
        "evaluate",
    ).outputs["evaluation"]

    page = report(
        run_name=run_name,
        results=results,
        subset=data,
        model=distilled,
        evaluation=figures,
        baseline=baseline.outputs["model"],
        teacher_checkpoint=teacher_checkpoint,
    )
    light(page, light_image, "report").set_caching_options(False)
