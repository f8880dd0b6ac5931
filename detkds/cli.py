"""The command line: a verb a stage, plus run, demo, check, space, pull and doctor. Starts without torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from detkds.errors import DetKDSError

app = typer.Typer(
    help="Find the knowledge distillation that works best for a pair of object detectors, and train with it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)

RunFile = Annotated[Path, typer.Argument(help="The run.yaml; examples/ has three.", metavar="RUN.YAML")]
Home = Annotated[Path, typer.Option(help="Folder for caches, unfinished work and the embedded store.", envvar="DETKDS_HOME")]
Trust = Annotated[bool, typer.Option("--trust-config", help="Run the Python code of config files that are not mmdet's own.")]
Subset = Annotated[Path, typer.Option(help="Artifact of the subset stage.")]
Out = Annotated[Path, typer.Option(help="Where to publish the artifact.")]
DEFAULT_HOME = Path(".detkds")


@app.command()
def run(
    run_yaml: RunFile,
    recipe: Annotated[str, typer.Option(help="Train with this preset or genome text instead of searching.")] = "",
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
) -> None:
    """Run the whole pipeline on this machine: search, train, evaluate, report, publish."""
    from detkds.launch import launch

    launch(run_yaml, home=home, trust=trust_config, console=console, recipe=recipe)


@app.command()
def demo(
    run_yaml: Annotated[Path, typer.Argument(help="The demo's run.yaml.", metavar="[RUN.YAML]")] = Path("examples/demo.yaml"),
    home: Home = DEFAULT_HOME,
) -> None:
    """Make a small data set and a teacher, put both into the bucket, and run the pipeline on them."""
    from detkds.demo import demo as run_demo

    run_demo(run_yaml, home, console)


@app.command()
def check(run_yaml: RunFile, trust_config: Trust = False) -> None:
    """Check a run.yaml, its files, its data and its pair of detectors, and print what the run will cost. Asks no store."""
    from detkds.inspection import check as inspect

    inspect(run_yaml, trust=trust_config, console=console)


@app.command()
def space(
    preset: Annotated[str, typer.Option(help="paper or extended.")] = "paper",
    semantics: Annotated[str, typer.Option(help="paper or released.")] = "paper",
    sample: Annotated[int, typer.Option(help="Print this many random genomes of each knowledge.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the samples.", min=0)] = 0,
    genome: Annotated[list[str] | None, typer.Argument(help="Genome texts to check.")] = None,
) -> None:
    """Print the size of the search space, samples of it, or what is known about a genome."""
    from detkds.inspection import describe_genome, describe_space

    if genome:
        for text in genome:
            describe_genome(text, preset, semantics, console)
    else:
        describe_space(preset, semantics, sample, seed, console)


@app.command()
def pull(
    run_name: Annotated[str, typer.Argument(help="Name of a run, or latest.", metavar="[RUN]")] = "latest",
    to: Annotated[Path | None, typer.Option(help="Folder to write; default: ./RUN.")] = None,
    store: Annotated[str, typer.Option(help="Where runs are published.", envvar="DETKDS_STORE")] = "s3://detkds",
    home: Home = DEFAULT_HOME,
) -> None:
    """Fetch the student checkpoint, recipe, report and figures of a run, verified."""
    from detkds import verbs

    verbs.pull(run_name, store, to, home, console)


@app.command()
def doctor(
    run_yaml: Annotated[Path | None, typer.Argument(help="Also check the store and the teacher of this run.", metavar="[RUN.YAML]")] = None,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
) -> None:
    """Check the environment, the object store and, for a run, that its teacher loads and reaches a plausible AP."""
    from detkds.doctor import examine

    if not examine(run_yaml, home=home, trust=trust_config, console=console):
        raise typer.Exit(65)


@app.command()
def subset(run_yaml: RunFile, out: Out, home: Home = DEFAULT_HOME) -> None:
    """Stage 1: validate the data set and draw search-train and search-val."""
    from detkds import verbs

    with verbs.prepared(run_yaml, home, False, console) as values:
        verbs.subset(values, out=out)


@app.command()
def evolve(
    run_yaml: RunFile,
    knowledge: Annotated[str, typer.Argument(help="global, fgbg, instance, logits or localization.")],
    subset: Subset,
    out: Out,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
) -> None:
    """Stage 2: search the loss of one knowledge."""
    from detkds import verbs

    with verbs.prepared(run_yaml, home, trust_config, console) as values:
        verbs.evolve(values, knowledge=knowledge, subset=subset, out=out)


@app.command()
def weights(
    run_yaml: RunFile,
    studies: Annotated[list[Path], typer.Argument(help="Artifacts of the evolve stage.")],
    subset: Subset,
    out: Out,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
) -> None:
    """Stage 3: search the weights of the losses found; the recipe is published beside the study, as OUT-recipe."""
    from detkds import verbs

    with verbs.prepared(run_yaml, home, trust_config, console) as values:
        verbs.weights(values, studies=studies, subset=subset, out=out)


@app.command()
def train(
    run_yaml: RunFile,
    subset: Subset,
    out: Out,
    recipe: Annotated[str, typer.Option(help="Artifact of the weights stage, recipe text or preset; default: no distillation.")] = "",
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
) -> None:
    """Stage 4: train the student on the whole training set."""
    from detkds import verbs

    with verbs.prepared(run_yaml, home, trust_config, console) as values:
        verbs.train(values, recipe=recipe, subset=subset, out=out)


@app.command()
def evaluate(
    run_yaml: RunFile,
    subset: Subset,
    baseline: Annotated[Path, typer.Option(help="Model trained without distillation.")],
    distilled: Annotated[Path, typer.Option(help="Model trained with a recipe.")],
    out: Out,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
) -> None:
    """Stage 5: COCO figures of teacher, student and distilled student on the test images."""
    from detkds import verbs

    with verbs.prepared(run_yaml, home, trust_config, console) as values:
        verbs.evaluate(values, baseline=baseline, distilled=distilled, subset=subset, out=out)


@app.command()
def report(
    run_yaml: RunFile,
    studies: Annotated[list[Path], typer.Argument(help="Artifacts of the evolve and weights stages.")],
    subset: Subset,
    model: Annotated[Path, typer.Option(help="Artifact of the train stage.")],
    evaluation: Annotated[Path, typer.Option(help="Artifact of the evaluate stage.")],
    out: Out,
    home: Home = DEFAULT_HOME,
) -> None:
    """Stage 6: the page about a run; student, recipe, page and figures go to OUT."""
    from detkds import verbs

    with verbs.prepared(run_yaml, home, False, console) as values:
        verbs.report(values, studies=studies, subset=subset, model=model, evaluation=evaluation, out=out)


def main() -> None:
    """Run the command line; errors of ours become one line and their exit code."""
    try:
        app(standalone_mode=True)
    except DetKDSError as error:
        for line in str(error).splitlines():
            print(f"detkds: {line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("detkds: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(75)
