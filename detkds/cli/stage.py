"""`detkds stage ...`: the six stages, one at a time, each as the pipeline calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detkds.cli.app import app
from detkds.cli.options import DEFAULT_HOME, EmbeddedS3, Home, Out, RunFile, Subset, Trust, console

stages = typer.Typer(help="One stage of the pipeline by hand.", no_args_is_help=True)
app.add_typer(stages, name="stage")


@stages.command()
def subset(
    run_yaml: RunFile,
    out: Out,
    nested: Annotated[
        list[float] | None, typer.Option(help="Also publish a smaller search-train of this share, within the others.")
    ] = None,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    embedded_s3: EmbeddedS3 = False,
) -> None:
    """Stage 1: validate the data set and draw search-train and search-val."""
    from detkds.pipeline import stage
    from detkds.pipeline.run import Run

    with Run.open(run_yaml, home=home, trust=trust_config, embedded_s3=embedded_s3, console=console) as run:
        stage.subset(run.values, nested=nested or (), out=out)


@stages.command()
def evolve(
    run_yaml: RunFile,
    knowledge: Annotated[str, typer.Argument(help="global, fgbg, instance, logits or localization.")],
    subset: Subset,
    out: Out,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    embedded_s3: EmbeddedS3 = False,
) -> None:
    """Stage 2: search the loss of one knowledge."""
    from detkds.pipeline import stage
    from detkds.pipeline.run import Run

    with Run.open(run_yaml, home=home, trust=trust_config, embedded_s3=embedded_s3, console=console) as run:
        stage.evolve(run.values, knowledge=knowledge, subset=subset, out=out)


@stages.command()
def weights(
    run_yaml: RunFile,
    studies: Annotated[list[Path], typer.Argument(help="Artifacts of the evolve stage.")],
    subset: Subset,
    out: Out,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    embedded_s3: EmbeddedS3 = False,
) -> None:
    """Stage 3: search the weights of the losses found; the recipe is published beside the study, as OUT-recipe."""
    from detkds.pipeline import stage
    from detkds.pipeline.run import Run

    with Run.open(run_yaml, home=home, trust=trust_config, embedded_s3=embedded_s3, console=console) as run:
        stage.weights(run.values, studies=studies, subset=subset, out=out)


@stages.command()
def train(
    run_yaml: RunFile,
    subset: Subset,
    out: Out,
    recipe: Annotated[str, typer.Option(help="Artifact of the weights stage, recipe text or preset; default: no distillation.")] = "",
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    embedded_s3: EmbeddedS3 = False,
) -> None:
    """Stage 4: train the student on the whole training set."""
    from detkds.pipeline import stage
    from detkds.pipeline.run import Run

    with Run.open(run_yaml, home=home, trust=trust_config, embedded_s3=embedded_s3, console=console) as run:
        stage.train(run.values, recipe=recipe, subset=subset, out=out)


@stages.command()
def evaluate(
    run_yaml: RunFile,
    subset: Subset,
    baseline: Annotated[Path, typer.Option(help="Model trained without distillation.")],
    distilled: Annotated[Path, typer.Option(help="Model trained with a recipe.")],
    out: Out,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    embedded_s3: EmbeddedS3 = False,
) -> None:
    """Stage 5: COCO figures of teacher, student and distilled student on the test images."""
    from detkds.pipeline import stage
    from detkds.pipeline.run import Run

    with Run.open(run_yaml, home=home, trust=trust_config, embedded_s3=embedded_s3, console=console) as run:
        stage.evaluate(run.values, baseline=baseline, distilled=distilled, subset=subset, out=out)


@stages.command()
def report(
    run_yaml: RunFile,
    studies: Annotated[list[Path], typer.Argument(help="Artifacts of the evolve and weights stages.")],
    subset: Subset,
    model: Annotated[Path, typer.Option(help="Artifact of the train stage.")],
    evaluation: Annotated[Path, typer.Option(help="Artifact of the evaluate stage.")],
    out: Out,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    embedded_s3: EmbeddedS3 = False,
) -> None:
    """Stage 6: the page about a run; student, recipe, page and figures go to OUT."""
    from detkds.pipeline import stage
    from detkds.pipeline.run import Run

    with Run.open(run_yaml, home=home, trust=trust_config, embedded_s3=embedded_s3, console=console) as run:
        stage.report(run.values, studies=studies, subset=subset, model=model, evaluation=evaluation, out=out)
