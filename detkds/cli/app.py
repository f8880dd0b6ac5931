"""The application itself; the other files of this package add their verbs to it."""

from __future__ import annotations

import inspect
import json
import os
import sys
import traceback
from typing import Annotated, Any

import typer

from detkds import __version__
from detkds.cli.options import console
from detkds.errors import DetKDSError, ExitCode
from detkds.pipeline.progress import logs_json, of_system
from detkds.processes import spins

app = typer.Typer(
    help="Find the knowledge distillation that works best for a pair of object detectors, and train with it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_USAGE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What typer raises for options that it cannot read; it carries a click of its own, without a public name for this."""


def shorten(commands: typer.Typer) -> None:
    """Let the list of commands show the first sentence of each command's help."""
    for command in commands.registered_commands:
        words = " ".join((inspect.getdoc(command.callback) or "").split())
        command.short_help = words.partition(". ")[0].removesuffix(".") + "."


def _version(asked: bool) -> None:
    if asked:
        print(f"detkds {__version__}")
        raise typer.Exit


@app.callback()
def general(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors and the output of --json.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", callback=_version, is_eager=True)] = False,
) -> None:
    """Options before the verb."""
    console.quiet = quiet


def main() -> None:
    """Run the command line; whatever ends it becomes one line and an exit code of docs/exit-codes.md."""
    os.environ.update(spins())
    try:
        code = app(standalone_mode=False)
        if code == ExitCode.INTERRUPTED:  # typer catches Ctrl-C itself, and says nothing
            raise KeyboardInterrupt
    except DetKDSError as error:
        sys.exit(_told(str(error), error.exit_code))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(_told("interrupted; what was finished is kept, and the same command resumes from there", ExitCode.INTERRUPTED))
    except BrokenPipeError:
        sys.stdout = None  # the reader of the pipe has exited, so nothing more can be written
        sys.exit(ExitCode.OK)
    except OSError as error:
        sys.exit(_of_system(error))
    except Exception as error:  # the last resort: any other error is a bug, reported with its traceback
        if isinstance(error, _USAGE):
            error.show()
            sys.exit(error.exit_code)
        traceback.print_exc()
        sys.exit(_told(f"a fault of ours: {type(error).__name__}: {error}; please report it with the lines above", ExitCode.OURS))
    sys.exit(code if isinstance(code, int) else ExitCode.OK)


def _of_system(error: OSError) -> int:
    """One line for what the machine refused."""
    if (ours := of_system(error)) is not None:
        return _told(str(ours), ours.exit_code)
    traceback.print_exc()
    return _told(f"{error.filename or 'a file'}: {error.strerror or error}", ExitCode.OURS)


def _told(text: str, code: int) -> int:
    """Print an error and give its code back."""
    for line in text.splitlines():
        print(json.dumps({"level": "error", "text": line, "code": int(code)}) if logs_json() else f"detkds: {line}", file=sys.stderr)
    return int(code)
