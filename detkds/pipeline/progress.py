"""What a stage prints while it works: one line an interval, read by people in a pod's log and by the terminal of a local run."""

from __future__ import annotations

import errno
import functools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from rich.console import Console
from rich.text import Text

from detkds import errors, plugins
from detkds.processes import end_with_run

FAULTS = "DETKDS_FAULTS"
"""The environment variable by which a local run asks its tasks for an error of ours as a line of JSON, which it reads and shows no one."""
FAULT = "detkds-fault "
"""How such a line begins."""
ERROR = "detkds: "
"""How each line of an error of ours begins in the log of a task, for those who look for it there."""
_P = ParamSpec("_P")
_T = TypeVar("_T")


LOG = "DETKDS_LOG"
"""The environment variable that asks for JSON lines, with the value `json`."""


def logs_json() -> bool:
    """Whether every line is to be an object of JSON."""
    return os.environ.get(LOG, "") == "json"


def say(task: str, text: str) -> None:
    """Print `[task] text` at once, or with DETKDS_LOG=json an object with `time`, `task` and `text`."""
    if logs_json():
        print(json.dumps({"time": round(time.time(), 3), "task": task, "text": text}), flush=True)
    else:
        print(f"[{task}] {text}", flush=True)


def columns(line: str) -> tuple[str, str]:
    """Task and text of such a line, as the terminal shows them; the task is padded so that the texts are aligned."""
    task, _, text = line.partition("] ")
    return f"{task.removeprefix('['):<22}", text


def shown(console: Console) -> Callable[[str], None]:
    """A function that prints a progress line of a task, its name in colour."""

    def show(line: str) -> None:
        if line.startswith("{"):  # a task's own object of JSON
            if not console.quiet:
                console.file.write(line + "\n")
                console.file.flush()
            return
        task, text = columns(line)
        console.print(Text.assemble((task, "cyan"), text), soft_wrap=True)  # in one piece, below which a live line may follow

    return show


def report_errors(run: Callable[_P, _T]) -> Callable[_P, _T]:
    """Load the plugins that the run names, end with a local run, and end a task of a pipeline with an error of ours as the last of its log,
    in plain words, and with its exit code: what the person did wrong stands there, and not 30 lines of where this library found it.
    """

    @functools.wraps(run)
    def running(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            end_with_run()
            plugins.inherit()
            return run(*args, **kwargs)
        except (errors.DetKDSError, OSError) as found:
            error = found if isinstance(found, errors.DetKDSError) else of_system(found)
            if error is None:
                raise
            if os.environ.get(FAULTS):
                print(FAULT + json.dumps({"type": type(error).__name__, "message": str(error)}), flush=True)
            if not _is_task():
                raise error from None
            print(*(ERROR + line for line in str(error).splitlines()), sep="\n", file=sys.stderr, flush=True)
            raise SystemExit(error.exit_code) from None

    return running


def of_system(error: OSError) -> errors.DetKDSError | None:
    """What the machine refused, as an error of ours: a full disk, a file that may not grow, or a place that may not be written; None for
    anything else."""
    where = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.StoreError(
            f"no space is left on the disk of {where}; free some and start the same command again: what was finished is kept."
        )
    if error.errno == errno.EFBIG:
        return errors.StoreError(f"{where} may not become as large as it must; raise `ulimit -f`, or the limit of its file system.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        return errors.ConfigError(f"{where}: {error.strerror}; give a place that can be written, or the right to.")
    return None


def _is_task() -> bool:
    """Whether this process is the container of a task: KFP starts those as `python3 -m kfp.dsl.executor_main`."""
    return getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", "") == "kfp.dsl.executor_main"


def parse_fault(line: str) -> errors.DetKDSError:
    """The error that `report_errors` printed."""
    fault = json.loads(line.removeprefix(FAULT))
    kind = getattr(errors, fault["type"], errors.DetKDSError)
    if kind is errors.Rejected:
        return errors.Rejected(*fault["message"].split(": ", 1))
    error: errors.DetKDSError = kind(fault["message"])
    return error
