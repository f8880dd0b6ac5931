"""`detkds data ...`: data sets before a run."""

from __future__ import annotations

import typer

from detkds.cli.app import app

data = typer.Typer(help="Data sets before a run.", no_args_is_help=True)
app.add_typer(data, name="data")
