"""The output of a stage, divided: everything goes into a file, progress lines to the terminal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from detkds import errors
from detkds.pipeline.progress import FAULT, FAULTS, parse_fault

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PROGRESS = re.compile(r"\[[a-z]+( [a-z0-9]+)*\] |{\"time\": ")
_TASK = re.compile(r".* - Executing task '([^']+)'")
"""As kfp.local 2.17 says which task it starts."""
_ERROR = re.compile(r"(?:[\w.]+ )?\b((?:[A-Za-z_][\w.]*)?(?:Error|Exception|Killed|Interrupt)\b.*)")


def plain(text: str) -> str:
    """Text without colour codes, in one line."""
    return " ".join(_COLOUR.sub("", text).split())


class Transcript(io.TextIOBase):
    """A context in which standard output goes into a file; progress lines such as "[evolve global] 3/12 …" also go to `show`, which prints
    to the terminal as before, and names of tasks that kfp.local starts go to `begun`. The line of JSON by which a task reports an error of
    ours is asked for and read here, and kept nowhere.

    Attributes:
        fault: the error that a task reported, if one did.
        last_error: the last line that names an error, such as `ValueError: no such word`; empty where none did.
    """

    def __init__(self, file: Path, show: Callable[[str], None], begun: Callable[[str], None] = lambda name: None) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("a")
        self._show, self._begun = show, begun
        self._terminal = sys.stdout
        self._line = ""
        self.fault: errors.DetKDSError | None = None
        self.last_error = ""

    def write(self, text: str) -> int:
        """Collect text and pass on whole lines."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._take(line.strip())
            if not line.startswith(FAULT):
                self._file.write(_COLOUR.sub("", line) + "\n")
        self._file.flush()
        return len(text)

    def _take(self, line: str) -> None:
        if found := _ERROR.fullmatch(_COLOUR.sub("", line)):
            self.last_error = plain(found[1])
        if task := _TASK.fullmatch(_COLOUR.sub("", line)):
            self._begun(task[1])
        elif line.startswith(FAULT):
            self.fault = parse_fault(line)
        elif _PROGRESS.match(line):
            with contextlib.redirect_stdout(self._terminal):
                self._show(line)

    def close(self) -> None:
        """Close the file."""
        self._file.write(_COLOUR.sub("", self._line))
        self._file.close()
        super().close()

    def __enter__(self) -> Transcript:
        self._redirection = contextlib.redirect_stdout(self)
        self._redirection.__enter__()
        self._faults, os.environ[FAULTS] = os.environ.get(FAULTS), "json"
        return self

    def __exit__(self, *error: object) -> None:
        self._redirection.__exit__(None, None, None)
        if self._faults is None:
            del os.environ[FAULTS]
        self.close()
