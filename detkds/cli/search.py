"""Watch a search, and take its trials elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from detkds.cli.app import app
from detkds.cli.options import DEFAULT_HOME, EmbeddedS3, Home, Json, answer, console, people
from detkds.errors import ConfigError

Search = Annotated[
    str,
    typer.Argument(
        help="Name of a run, or a folder or s3:// address that contains journals; default: the run that was active last.",
        metavar="RUN",
        show_default=False,
    ),
]
Work = Annotated[
    str,
    typer.Option(
        help="Folder or s3:// address of unfinished work, in which runs are found by name; default: work below --home.",
        envvar="DETKDS_WORK",
        show_default=False,
    ),
]


@app.command()
def watch(
    run: Search = "",
    work: Work = "",
    once: Annotated[bool, typer.Option("--once", help="Print the state once and exit.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two updates.")] = 2.0,
    trials: Annotated[int, typer.Option(min=0, help="Also list this many of the last candidates of each study.")] = 0,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Follow a run: the best candidate, trials, pace and time left of each study, then the trainings and the evaluation. The command only
    reads. It waits for a run that has not begun, and ends when the run ends."""
    from detkds.pipeline.watch import watch as follow

    found = follow(run, work, home, once=once, every_s=every, console=people(as_json), trials=trials)
    answer(as_json, found)


@app.command()
def export(
    context: typer.Context,
    run: Search = "",
    optuna: Annotated[
        Path | None, typer.Option(help="SQLite file for optuna-dashboard, with one study per knowledge and one for the weights.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="CSV file, one line per trial.")] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder of event files for TensorBoard: trials in the tab HPARAMS, scores as curves.")
    ] = None,
    fiftyone: Annotated[
        Path | None,
        typer.Option(help="Folder for FiftyOne: the test images of a published run, their objects, and the detections of each detector."),
    ] = None,
    mlflow: Annotated[Path | None, typer.Option(help="Folder for the student of a published run as an MLflow model.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="With --fiftyone: the test images; default: those of the run. With --mlflow: images to compare with mmdet on."),
    ] = None,
    store: Annotated[
        str, typer.Option(help="With --fiftyone or --mlflow: where runs are published.", envvar="DETKDS_STORE")
    ] = "s3://detkds",
    embedded_s3: EmbeddedS3 = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files; without it the export refuses to.")] = False,
    work: Work = "",
    home: Home = DEFAULT_HOME,
) -> None:
    """Export the trials of a search (Optuna, TensorBoard, CSV), or the detections (FiftyOne) or the student (MLflow) of a published run.
    In Optuna's words a rejected candidate is FAIL; one whose validation was stopped early is PRUNED, with the bound as its value; one whose
    training was stopped at a rung is PRUNED, without a value."""
    from detkds.pipeline import export_fiftyone, export_trials

    published = fiftyone is not None or mlflow is not None
    of_trials = not published or bool(optuna or csv or tensorboard)
    _refuse_unused(context, published=published, of_trials=of_trials)
    writing: list[Callable[[], None]] = []
    where: dict[str, Any] = {"images": images, "home": home, "console": console, "embedded_s3": embedded_s3}
    if fiftyone is not None:
        export_fiftyone.check(fiftyone)
        writing.append(partial(export_fiftyone.export, run, store, fiftyone, **where))
    if mlflow is not None:
        from detkds.pipeline import export_mlflow

        export_mlflow.check(mlflow)
        writing.append(partial(export_mlflow.export, run, store, mlflow, **where))
    if of_trials:
        files: dict[str, Any] = {"optuna": optuna, "table": csv, "tensorboard": tensorboard, "force": force}
        export_trials.check(**files)
        writing.append(partial(export_trials.export, run, work, home, **files, console=console))
    for write in writing:  # every target was checked before the first is written
        write()


def _refuse_unused(context: typer.Context, *, published: bool, of_trials: bool) -> None:
    """Refuse options that nothing of what is exported reads. Where variables of the environment gave them, they are not meant for one
    command."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    for name in ("images", "store", "embedded_s3"):
        if name in given and not published:
            raise ConfigError(f"--{name.replace('_', '-')} belongs to --fiftyone and --mlflow, and neither is given; leave it out.")
    for name in ("work", "force"):
        if name in given and not of_trials:
            raise ConfigError(f"--{name} belongs to --optuna, --csv and --tensorboard, and none is given; leave it out.")


@app.command()
def pairs(
    name: Annotated[str, typer.Argument(help="Show the configs and weights of this pair.", metavar="PAIR")] = "", as_json: Json = False
) -> None:
    """List the tested pairs of detectors, and which knowledges they share."""
    from detkds.cli.print_pairs import describe_pair, list_pairs, plain_pairs

    if as_json:
        answer(as_json, plain_pairs(name))
    elif name:
        describe_pair(name, console)
    else:
        list_pairs(console)
