"""The application itself; the other files of this package add their verbs to it."""

from __future__ import annotations

import sys

import typer

from detkds.errors import DetKDSError

app = typer.Typer(
    help="Find the knowledge distillation that works best for a pair of object detectors, and train with it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; errors of ours become one line and their exit code."""
    try:
        app(standalone_mode=True)
    except DetKDSError as error:
        for line in str(error).splitlines():
            print(f"detkds: {line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("detkds: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(75)
