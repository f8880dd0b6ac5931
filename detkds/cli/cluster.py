"""Runs on a cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from detkds.cli.app import app
from detkds.cli.options import DEFAULT_HOME, Home, Json, Trust, answer, people


@app.command()
def submit(
    run_yaml: Annotated[Path | None, typer.Argument(help="The run.yaml.", metavar="RUN.YAML")] = None,
    endpoint: Annotated[str, typer.Option(help="Address of Kubeflow Pipelines.", envvar="KFP_ENDPOINT")] = "",
    namespace: Annotated[str, typer.Option(help="Namespace of the run, where there are several users.", envvar="KFP_NAMESPACE")] = "",
    token_file: Annotated[
        Path | None, typer.Option(help="File with a bearer token, read again as it changes; or set KFP_EXISTING_TOKEN.")
    ] = None,
    ca_cert: Annotated[Path | None, typer.Option(help="File of the authority that signed the endpoint's certificate.")] = None,
    image: Annotated[str, typer.Option(help="Container image of all tasks, by digest.", envvar="DETKDS_IMAGE")] = "",
    light_image: Annotated[
        str, typer.Option(help="Image of the tasks without a detector; default: --image.", envvar="DETKDS_LIGHT_IMAGE")
    ] = "",
    any_image: Annotated[bool, typer.Option("--any-image", help="Accept images that are named by a tag.")] = False,
    package: Annotated[
        Path | None,
        typer.Option(help="Submit this compiled pipeline with the run.yaml's parameters and resources; default: that of this version."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="Train with this preset, `PRESET x 5` or genome text instead of searching.")] = "",
    experiment: Annotated[str, typer.Option(help="Experiment that the run belongs to.")] = "detkds",
    service_account: Annotated[str, typer.Option(help="Service account of the tasks; default: that of the installation.")] = "",
    timeout: Annotated[float, typer.Option(help="Hours to follow the run.", min=0.0)] = 72.0,
    every: Annotated[float, typer.Option(help="Seconds between two requests for the state of the run.", min=0.01)] = 10.0,
    retries: Annotated[int, typer.Option(help="Create a failed run again up to this many times; finished stages are kept.", min=0)] = 0,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the run to its end.")] = True,
    follow: Annotated[str, typer.Option(help="Follow this run instead of creating one.", metavar="RUN_ID")] = "",
    home: Home = DEFAULT_HOME,
    trust_config: Trust = False,
    as_json: Json = False,
) -> None:
    """Run on a cluster and follow the run. Exits 0 if it succeeded, 1 if it failed, 3 if it is still running, 4 if it was cancelled."""
    from detkds.errors import ConfigError
    from detkds.pipeline import submit as verb
    from detkds.pipeline.kubeflow.remote import Cluster, Endpoint, Pace

    if not endpoint:
        raise ConfigError("give the address of Kubeflow Pipelines with --endpoint or KFP_ENDPOINT.")
    if (run_yaml is None) == (not follow):
        raise ConfigError("give either a run.yaml to submit or a run to --follow.")
    console = people(as_json)
    if retries and not wait:
        raise ConfigError("--retries needs a run that is followed; leave out --no-wait.")
    pace = Pace(3600 * timeout, every)
    where = Endpoint(endpoint, namespace, verb.token_source(token_file, os.environ), ca_cert)
    if run_yaml is None:
        outcome = verb.follow(follow, Cluster(where), pace=pace, console=console)
        answer(as_json, {"run": follow, "outcome": outcome.name.lower()})
        raise typer.Exit(outcome)
    said: dict[str, str] = {}
    outcome = verb.submit(
        run_yaml,
        where,
        home=home,
        images=verb.Images(image, light_image, any_image),
        package=package,
        recipe=recipe,
        creation=verb.Creation(experiment, service_account, retries, wait),
        trust=trust_config,
        pace=pace,
        console=console,
        said=said,
    )
    answer(as_json, {**said, "outcome": outcome.name.lower() if wait else "submitted"})
    raise typer.Exit(outcome)
