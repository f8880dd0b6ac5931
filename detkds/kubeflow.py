"""The compiled pipelines run locally by kfp.local; the one module that imports kfp.

What runs here is the YAML that runs on the cluster, task by task in subprocesses of this Python.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from detkds import errors
from detkds.stages.progress import FAULT, parse_fault

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PROGRESS = re.compile(r"\[[a-z]+( [a-z]+)?\] ")


class Transcript(io.TextIOBase):
    """Takes what kfp and the tasks print: all of it into a file, the tasks' progress lines to `show`, a task's fault to `fault`."""

    def __init__(self, file: Path, show: Callable[[str], None]) -> None:
        self._file = file.open("a")
        self._show = show
        self._terminal = sys.stdout  # `show` prints there, while everything else that is printed comes here
        self._line = ""
        self.fault: errors.DetKDSError | None = None

    def write(self, text: str) -> int:
        """Collect text and pass on whole lines."""
        self._file.write(_COLOUR.sub("", text))
        *lines, self._line = (self._line + text).split("\n")
        for line in map(str.strip, lines):
            if line.startswith(FAULT):
                self.fault = parse_fault(line)
            elif _PROGRESS.match(line):
                with contextlib.redirect_stdout(self._terminal):
                    self._show(line)
        self._file.flush()
        return len(text)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def run_local(
    pipeline: str, parameters: Mapping[str, Any], *, home: Path, cache_key: str, transcript: Path, show: Callable[[str], None]
) -> None:
    """Run a compiled pipeline on this machine; finished tasks are answered from the cache.

    Args:
        pipeline: "search" or "transfer".
        parameters: the pipeline's parameters by name.
        home: the folder for artifacts and caches, usually `.detkds`.
        cache_key: digest of what the tasks' command lines do not show, such as the version of this library.
        transcript: file that receives everything that is printed.
        show: called with each progress line, such as "[evolve global] 3/12 AP .213".

    Raises:
        DetKDSError: a task failed; the task's own error where it was one of ours.
    """
    from kfp import components, local  # takes a second: only where it is needed

    transcript.parent.mkdir(parents=True, exist_ok=True)
    root = home / "pipeline"
    output = Transcript(transcript, show)
    with contextlib.closing(output), _quiet():
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(root / "artifacts"),
            cache_root=str(root / "cache" / cache_key),
            enable_caching=True,
            raise_on_error=True,
        )
        task = components.load_component_from_text(_without_retries(_compiled(pipeline)))
        try:
            with contextlib.redirect_stdout(output):
                task(**parameters)
        except RuntimeError as error:
            if output.fault:
                raise output.fault from None
            raise errors.DetKDSError(f"the pipeline {pipeline} failed: {error}; the whole output is in {transcript}") from error


def parameter_names(pipeline: str) -> set[str]:
    """The names of a compiled pipeline's parameters."""
    specification = next(yaml.safe_load_all(_compiled(pipeline)))
    return set(specification["root"]["inputDefinitions"]["parameters"])


def _compiled(pipeline: str) -> str:
    return (files("detkds") / "compiled" / f"{pipeline}.yaml").read_text()


def _without_retries(package: str) -> str:
    """The package without retries, which wait minutes for a cluster to mend; here an error is shown at once, and the command goes on."""
    documents = list(yaml.safe_load_all(package))
    for task in documents[0]["root"]["dag"]["tasks"].values():
        task.pop("retryPolicy", None)
    return yaml.safe_dump_all(documents)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep kfp's warnings about settings that only a cluster knows, and its log lines, away from the terminal."""
    root = logging.getLogger()
    level = root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            root.setLevel(logging.ERROR)
            yield
        finally:
            root.setLevel(level)
