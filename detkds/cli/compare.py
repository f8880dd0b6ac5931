"""Experiments: recipes against each other, the paper's ablations, and whether the proxy can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detkds.cli.app import app
from detkds.cli.options import DEFAULT_HOME, EmbeddedS3, Home, Json, RunFile, Trust, answer, console, people

Seeds = Annotated[int, typer.Option(help="Trainings of each recipe: the run's seed and those after it.", min=1, max=100)]
Epochs = Annotated[int, typer.Option(help="Epochs of every training; default: train.epochs of the run.", min=0, show_default=False)]
Jobs = Annotated[
    int,
    typer.Option(
        help="Trainings at a time; default: one per GPU, or without a GPU one per CPU as far as memory allows.", min=0, show_default=False
    ),
]


@app.command()
def compare(
    run_yaml: RunFile,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="none, inherit, a preset, `PRESET x 5`, genome text, a file with a recipe, or a run's name; ` without "
            "unlabelled` behind it leaves the run's images without labels out; may be given several times.",
            metavar="[NAME=]RECIPE",
        ),
    ] = None,
    recipes_from: Annotated[Path | None, typer.Option(help="File with one recipe per line.")] = None,
    seeds: Seeds = 3,
    epochs: Epochs = 0,
    jobs: Jobs = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the table; default: compare/NAME below --home.")] = None,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    embedded_s3: EmbeddedS3 = False,
    as_json: Json = False,
) -> None:
    """Train the same student with several recipes and seeds, and print means, spreads and paired differences. Can be resumed."""
    from detkds.experiments.compare import compare as hold
    from detkds.experiments.named_recipes import read_list
    from detkds.experiments.prepared_run import Effort

    recipes = [*(recipe or ()), *(read_list(recipes_from) if recipes_from else ())]
    effort = Effort(seeds, epochs, jobs)
    result = hold(run_yaml, recipes, effort, home=home, trust=trust_config, console=people(as_json), out=out, embedded_s3=embedded_s3)
    answer(as_json, result.to_json())


@app.command()
def ablate(
    run_yaml: RunFile,
    kind: Annotated[str, typer.Argument(help="single-losses, algorithms or iterations.", metavar="WHAT")],
    recipe: Annotated[str, typer.Option(help="single-losses: take the losses of this recipe instead of searching them.")] = "",
    only: Annotated[
        list[str] | None,
        typer.Option(help="algorithms: evolution, mcts, random, tpe, no-divide or no-filter; may be given several times; default: all."),
    ] = None,
    iterations: Annotated[
        list[int] | None, typer.Option(help="iterations: values of T; default: half, three quarters and all of the run's.", min=0)
    ] = None,
    seeds: Seeds = 3,
    epochs: Epochs = 0,
    jobs: Jobs = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the tables; default: ablate/NAME-WHAT below --home.")] = None,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    embedded_s3: EmbeddedS3 = False,
) -> None:
    """The paper's ablations: each loss alone (Table 11), the search algorithms at equal steps (Table 12), iterations (Table 13)."""
    from detkds.experiments.ablate import ablate as search
    from detkds.experiments.prepared_run import Effort

    search(
        run_yaml,
        kind,
        Effort(seeds, epochs, jobs),
        recipe=recipe,
        only=only or (),
        iterations=iterations or (),
        home=home,
        trust=trust_config,
        console=console,
        out=out,
        embedded_s3=embedded_s3,
    )


@app.command()
def fidelity(
    run_yaml: RunFile,
    genomes: Annotated[int, typer.Option(help="Number of random genomes.", min=3)] = 20,
    epochs: Epochs = 0,
    jobs: Jobs = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the scores; default: fidelity/NAME below --home.")] = None,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    embedded_s3: EmbeddedS3 = False,
) -> None:
    """Correlation of the proxy's scores with full trainings over random genomes, with intervals (Figure 5)."""
    from detkds.experiments.fidelity import fidelity as correlate
    from detkds.experiments.prepared_run import Effort

    correlate(run_yaml, genomes, Effort(1, epochs, jobs), home=home, trust=trust_config, console=console, out=out, embedded_s3=embedded_s3)
