"""Options that several verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console(highlight=False)

RunFile = Annotated[Path, typer.Argument(help="The run.yaml; examples/ has some.", metavar="RUN.YAML")]
PairName = Annotated[str, typer.Option("--pair", help="Teacher and student of this tested pair; `detkds pairs` lists them.")]
Home = Annotated[Path, typer.Option(help="Folder for caches, unfinished work and the embedded store.", envvar="DETKDS_HOME")]
Trust = Annotated[bool, typer.Option("--trust-config", help="Run the Python code of config files that are not mmdet's own.")]
Subset = Annotated[Path, typer.Option(help="Artifact of the subset stage.")]
Out = Annotated[Path, typer.Option(help="Where to publish the artifact.")]
DEFAULT_HOME = Path(".detkds")
