"""Commands that measure detectors and report runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detkds.cli.app import app
from detkds.cli.options import DEFAULT_HOME, Home, Json, Trust, answer, console, people


@app.command()
def evaluate(
    annotations: Annotated[Path, typer.Argument(help="COCO annotation file.", metavar="ANNOTATIONS.json")],
    results: Annotated[list[str] | None, typer.Option(help="COCO results file; may be given several times.", metavar="[NAME=]FILE")] = None,
    config: Annotated[list[str] | None, typer.Option(help="Detector: mmdet's name or a config file.", metavar="[NAME=]CONFIG")] = None,
    checkpoint: Annotated[list[str] | None, typer.Option(help="Weights of the config of the same name.", metavar="[NAME=]FILE")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images; needed for --config.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per forward pass.", min=1)] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    samples: Annotated[int, typer.Option(help="Bootstrap samples of intervals and tests.", min=100, max=100_000)] = 1000,
    per_class: Annotated[bool, typer.Option("--per-class", help="Also print the AP of each class.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.json, results files and example images.")] = None,
    trust_config: Trust = False,
) -> None:
    """Measure detectors or COCO results files, and test the difference between each two of them."""
    from detkds.experiments.evaluate import Options
    from detkds.experiments.evaluate import evaluate as measure
    from detkds.experiments.evaluation_inputs import evaluation_inputs

    chosen = evaluation_inputs(results or (), config or (), checkpoint or ())
    options = Options(images, batch_size, device, trust_config)
    measure(annotations, chosen, options, console, samples=samples, per_class=per_class, out=out)


@app.command()
def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Pulled folders, results.json files, or names of runs; the others are compared with the first.",
            metavar="RUN RUN...",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("compare.html"),
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Compare runs: AP with intervals, recipes, searches and costs, on one page and in the terminal."""
    from detkds.experiments.runs_page import report as compare

    answer(as_json, {"page": str(out), "runs": compare(runs, out=out, home=home, console=people(as_json))})
