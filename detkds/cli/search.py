"""Watch a search, and take its trials elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detkds.cli.app import app
from detkds.cli.options import DEFAULT_HOME, EmbeddedS3, Home, Json, answer, console, people

Search = Annotated[
    str,
    typer.Argument(
        help="Name of a run, or a folder or s3:// address with journals below it; default: the run that wrote something last.",
        metavar="RUN",
        show_default=False,
    ),
]
Work = Annotated[
    str,
    typer.Option(
        help="Where unfinished work lies and runs are looked for by name: a folder or s3:// address; default: work below --home.",
        envvar="DETKDS_WORK",
        show_default=False,
    ),
]


@app.command()
def watch(
    run: Search = "",
    work: Work = "",
    once: Annotated[bool, typer.Option("--once", help="Print the state and end.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 2.0,
    trials: Annotated[int, typer.Option(min=0, help="Also list so many of the last candidates of each study.")] = 0,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Follow a run: best candidate, trials, rejected ones, pace and time left of each study, then its trainings and its evaluation. It only
    reads, waits for a run that has not begun, and ends when the run ends."""
    from detkds.pipeline.watch import watch as follow

    found = follow(run, work, home, once=once, every_s=every, console=people(as_json), trials=trials)
    answer(as_json, found)


@app.command()
def export(
    run: Search = "",
    optuna: Annotated[
        Path | None, typer.Option(help="SQLite file for optuna-dashboard, a study for each knowledge and for the weights.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="CSV file, one line per trial.")] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder of event files for TensorBoard: trials in the tab HPARAMS, scores as curves.")
    ] = None,
    fiftyone: Annotated[
        Path | None, typer.Option(help="Folder for FiftyOne: test images, their objects, and what each detector found; of a published run.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="With --fiftyone: folder of the test images; default: where the run took them.")
    ] = None,
    store: Annotated[str, typer.Option(help="With --fiftyone: where runs are published.", envvar="DETKDS_STORE")] = "s3://detkds",
    embedded_s3: EmbeddedS3 = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist; without it they are left and the export ends.")] = False,
    work: Work = "",
    home: Home = DEFAULT_HOME,
) -> None:
    """Write the finished trials of a search for optuna-dashboard, for TensorBoard or as a table, and what the detectors of a published run
    found for FiftyOne. In Optuna's words a rejected candidate is FAIL, one whose validation was stopped early PRUNED, with the bound as its
    value, and one that left its training at a rung PRUNED without a value."""
    from detkds.pipeline.export_fiftyone import export as write_images
    from detkds.pipeline.export_trials import export as write

    if fiftyone is not None:
        write_images(run, store, fiftyone, images, home, console, embedded_s3=embedded_s3)
    if fiftyone is None or optuna or csv or tensorboard:
        write(run, work, home, optuna=optuna, table=csv, tensorboard=tensorboard, force=force, console=console)


@app.command()
def pairs(name: Annotated[str, typer.Argument(help="Say more of this one.", metavar="[PAIR]")] = "", as_json: Json = False) -> None:
    """List the pairs of detectors that were tested together, and which knowledges they share."""
    from detkds.cli.print_pairs import describe_pair, list_pairs, plain_pairs

    if as_json:
        answer(as_json, plain_pairs(name))
    elif name:
        describe_pair(name, console)
    else:
        list_pairs(console)
