"""The command line: what each verb is called and takes, one file a group. Starts without torch."""

from detkds.cli import run, search, compare, measure, data, cluster, stage  # noqa: I001  the order of `detkds --help`
from detkds.cli.app import app, main, shorten

shorten(app)

__all__ = ["app", "cluster", "compare", "data", "main", "measure", "run", "search", "stage"]
