"""Options that several verbs take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from detkds.cli.console import PlainConsole

console = PlainConsole()

RunFile = Annotated[Path, typer.Argument(help="The run.yaml; examples/ has some.", metavar="RUN.YAML")]
PairName = Annotated[str, typer.Option("--pair", help="Teacher and student of this tested pair; `detkds pairs` lists them.")]
Home = Annotated[
    Path, typer.Option(help="Folder for caches, unfinished work, results and, without DETKDS_S3_ENDPOINT, the store.", envvar="DETKDS_HOME")
]
Trust = Annotated[bool, typer.Option("--trust-config", help="Run the Python code of plugins and of config files that are not mmdet's own.")]
Subset = Annotated[Path, typer.Option(help="Artifact of the subset stage.")]
Out = Annotated[Path, typer.Option(help="Where to publish the artifact.")]
RecipeText = Annotated[
    str,
    typer.Option("--recipe", help="Train with this preset, `PRESET x 5` or genome text (losses separated by `;`) instead of searching."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object; messages for people go to standard error.")]
EmbeddedS3 = Annotated[
    bool,
    typer.Option("--embedded-s3", help="Start a SeaweedFS server as the store, instead of using a folder.", envvar="DETKDS_EMBEDDED_S3"),
]
DEFAULT_HOME = Path(".detkds")


def people(as_json: bool) -> Console:
    """Where text for people goes: beside the JSON, not into it."""
    return PlainConsole(stderr=True, quiet=console.quiet) if as_json else console


def answer(as_json: bool, content: object) -> None:
    """Print the response of a verb as JSON, where it is asked for."""
    if as_json:
        print(json.dumps(content, indent=1, default=str))
