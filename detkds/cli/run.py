"""A run from its run.yaml to its results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from detkds.cli.app import app
from detkds.cli.options import DEFAULT_HOME, EmbeddedS3, Home, Json, PairName, RecipeText, RunFile, Trust, answer, console, people
from detkds.cli.writing import write_new
from detkds.errors import ExitCode


@app.command()
def run(
    run_yaml: RunFile,
    recipe: RecipeText = "",
    pair: PairName = "",
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    embedded_s3: EmbeddedS3 = False,
) -> None:
    """Run the whole pipeline on this machine: search, train, evaluate, report, publish."""
    from detkds.pipeline.run import Run

    with Run.open(run_yaml, home=home, trust=trust_config, pair=pair, embedded_s3=embedded_s3, console=console) as opened:
        opened.execute(recipe)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of a COCO, YOLO or Pascal VOC data set with its images.", metavar="FOLDER")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("run.yaml"),
    name: Annotated[str, typer.Option(help="Name of the run; default: the folder's.")] = "",
) -> None:
    """Look at a data set and write a run.yaml for it, with comments: a tested pair of detectors and a search that fits its size."""
    from detkds.pipeline.suggestion import suggest

    found = suggest(folder, name)
    write_new(out, found.text)
    for line in found.seen:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"Wrote {out}. Next: detkds check {out}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def demo(
    run_yaml: Annotated[Path, typer.Argument(help="The demo's run.yaml.", metavar="RUN.YAML")] = Path("examples/demo.yaml"),
    home: Home = DEFAULT_HOME,
) -> None:
    """Generate a small data set, train a teacher, put both into the store, and run the pipeline on them."""
    from detkds.pipeline.demo import demo as run_demo

    run_demo(run_yaml, home, console)


@app.command()
def check(
    run_yaml: RunFile,
    recipe: RecipeText = "",
    pair: PairName = "",
    timed: Annotated[
        bool, typer.Option("--timed/--not-timed", help="Measure the teacher on the student's batches, and time a few training steps.")
    ] = True,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    as_json: Json = False,
) -> None:
    """Check a run.yaml, its files, its data and its detectors, and estimate what the run will cost on this machine. These are the checks
    that `run` makes before its first step. Exits 75 if a part of the run is in a store that cannot be reached, and was not checked."""
    from detkds.pipeline.check import check as inspect

    found = inspect(run_yaml, trust=trust_config, console=people(as_json), home=home, pair=pair, recipe=recipe, timed=timed)
    answer(as_json, found)
    if found["not_looked_at"]:
        raise typer.Exit(ExitCode.TRY_AGAIN)


@app.command()
def space(
    preset: Annotated[str, typer.Option(help="paper or extended.")] = "paper",
    semantics: Annotated[
        str, typer.Option(help="paper, released or sound; default: paper, with --run that of the run.", show_default=False)
    ] = "",
    sample: Annotated[int, typer.Option(help="Print this many random genomes per knowledge.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the samples.", min=0)] = 0,
    plugin: Annotated[list[str] | None, typer.Option(help="Module with your own words; may be repeated.", metavar="MODULE")] = None,
    run_yaml: Annotated[
        Path | None, typer.Option("--run", help="Show what the losses do to the student of this run.", metavar="RUN.YAML")
    ] = None,
    after: Annotated[int, typer.Option(help="With --run: epochs that the student trains without distillation first.", min=0)] = 0,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    genome: Annotated[list[str] | None, typer.Argument(help="Genomes, or presets such as pkd or 'cwd x 2'.", metavar="GENOME...")] = None,
    as_json: Json = False,
) -> None:
    """Print the size of the search space, samples of it, or facts about genomes and presets; with --run what they do to a student."""
    from detkds import plugins
    from detkds.cli.print_space import describe_losses, describe_space, plain_losses, plain_space

    plugins.load([*plugins.installed(), *(plugin or [])])
    if run_yaml is not None:
        from detkds.errors import ConfigError
        from detkds.pipeline.diagnosis import show

        if not genome:
            raise ConfigError("--run looks at losses, got none; give genome texts or presets, such as 'pkd x 20'.")
        show(genome, run_yaml, semantics, after, home=home, trust=trust_config, console=console)
        return
    semantics = semantics or "paper"
    if as_json:
        genomes = [loss for text in genome or () for loss in plain_losses(text, preset, semantics)]
        answer(as_json, {"genomes": genomes} if genome else plain_space(preset, semantics))
    elif genome:
        for text in genome:
            describe_losses(text, preset, semantics, console)
    else:
        describe_space(preset, semantics, sample, seed, console)


@app.command()
def pull(
    run_name: Annotated[str, typer.Argument(help="Name of a run, NAME/ID for its earlier results, or latest.", metavar="RUN")] = "latest",
    to: Annotated[Path | None, typer.Option(help="Folder to write; default: ./RUN.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Fetch only this file, such as student.pth; may be repeated.", metavar="FILE")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Also write the student as FOLDER.onnx, for onnxruntime.")] = False,
    list_runs: Annotated[bool, typer.Option("--list", help="List the published runs and fetch nothing.")] = False,
    store: Annotated[str, typer.Option(help="Where runs are published.", envvar="DETKDS_STORE")] = "s3://detkds",
    home: Home = DEFAULT_HOME,
    embedded_s3: EmbeddedS3 = False,
    as_json: Json = False,
) -> None:
    """Fetch the student, the recipe, the report and the figures of a run, verified."""
    from detkds.pipeline import pull as verb

    if list_runs:
        answer(as_json, {"runs": verb.list_runs(store, home, people(as_json), embedded_s3=embedded_s3)})
    else:
        files = verb.pull(run_name, store, to, only or (), home, people(as_json), onnx=onnx, embedded_s3=embedded_s3)
        answer(as_json, {"files": files})


@app.command()
def doctor(
    run_yaml: Annotated[Path | None, typer.Argument(help="Also check the store and the teacher of this run.", metavar="RUN.YAML")] = None,
    cluster: Annotated[bool, typer.Option("--cluster", help="Check a cluster instead of this machine.")] = False,
    endpoint: Annotated[str, typer.Option(help="Address of Kubeflow Pipelines.", envvar="KFP_ENDPOINT")] = "",
    namespace: Annotated[str, typer.Option(help="Namespace of the runs, where there are several users.", envvar="KFP_NAMESPACE")] = "",
    token_file: Annotated[Path | None, typer.Option(help="File with a bearer token; or set KFP_EXISTING_TOKEN.")] = None,
    ca_cert: Annotated[Path | None, typer.Option(help="File of the authority that signed the endpoint's certificate.")] = None,
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    as_json: Json = False,
) -> None:
    """Check the environment, the store and, for a run, that its teacher loads and detects; with --cluster, check a cluster instead."""
    if cluster:
        found = _doctor_cluster(run_yaml, endpoint, namespace, token_file, ca_cert, people(as_json))
    else:
        from detkds.pipeline.doctor import examine

        found = examine(run_yaml, home=home, trust=trust_config, console=people(as_json))
    answer(as_json, {"checks": found})
    if any(one["passed"] is False for one in found):
        raise typer.Exit(ExitCode.DATA)


def _doctor_cluster(
    run_yaml: Path | None, endpoint: str, namespace: str, token_file: Path | None, ca_cert: Path | None, console: Console
) -> list[dict[str, Any]]:
    from detkds.errors import ConfigError
    from detkds.pipeline import run_config
    from detkds.pipeline.doctor_cluster import examine
    from detkds.pipeline.kubeflow.remote import Endpoint
    from detkds.pipeline.submit import token_source

    if not endpoint:
        raise ConfigError("give the address of Kubeflow Pipelines with --endpoint or KFP_ENDPOINT.")
    bucket = run_config.load(run_yaml).store.bucket if run_yaml else "detkds"
    where = Endpoint(endpoint, namespace, token_source(token_file, os.environ), ca_cert)
    return examine(where, bucket=bucket, console=console)


@app.command()
def onnx(
    student: Annotated[Path, typer.Argument(help="Folder that detkds pull wrote, or a checkpoint with --config.", metavar="STUDENT")],
    out: Annotated[Path | None, typer.Option(help="The file to write; default: ./STUDENT.onnx.")] = None,
    size: Annotated[str, typer.Option(help="Size of the input; default: that of the test pipeline.", metavar="HEIGHTxWIDTH")] = "",
    images: Annotated[Path | None, typer.Option(help="Folder of images on which the file must agree with mmdet.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="COCO file of --images: also measure the AP with onnxruntime.")] = None,
    config: Annotated[str, typer.Option(help="Config of a checkpoint: mmdet's name or a file.")] = "",
    trust_config: Trust = False,
) -> None:
    """Write a student with a dense head as ONNX, and check that it finds what mmdet finds."""
    from detkds.pipeline.export_onnx import export_student

    export_student(student, out, console, config=config, trust=trust_config, size=size, images=images, annotations=annotations)
