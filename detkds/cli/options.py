"""Options that several verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console(highlight=False)

RunFile = Annotated[Path, typer.Argument(help="The run.yaml; examples/ has some.", metavar="RUN.YAML")]
PairName = Annotated[str, typer.Option("--pair", help="Teacher and student of this tested pair; `detkds pairs` lists them.")]
Home = Annotated[
    Path, typer.Option(help="Folder for caches, unfinished work and, where DETKDS_S3_ENDPOINT names none, the store.", envvar="DETKDS_HOME")
]
Trust = Annotated[bool, typer.Option("--trust-config", help="Run the Python code of config files that are not mmdet's own.")]
Subset = Annotated[Path, typer.Option(help="Artifact of the subset stage.")]
Out = Annotated[Path, typer.Option(help="Where to publish the artifact.")]
EmbeddedS3 = Annotated[
    bool,
    typer.Option(
        "--embedded-s3", help="Use a SeaweedFS server beside this command as the store, not a folder.", envvar="DETKDS_EMBEDDED_S3"
    ),
]
DEFAULT_HOME = Path(".detkds")
