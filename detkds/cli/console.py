"""What the command line prints on: colours and frames on a terminal, plain text elsewhere, JSON lines where logs are read by a program."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from io import StringIO
from typing import Any

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from detkds.pipeline.progress import logs_json

WIDE = 200
"""Width in columns where the output is not a terminal: nothing there would wrap, so tables keep their full width."""


class PlainConsole(Console):
    """A console that draws frames on a terminal only."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, **options)

    @property
    def options(self) -> ConsoleOptions:
        """Of rendering: in ASCII where there is no terminal."""
        found = super().options
        if not self.is_terminal:
            found.encoding = "ascii"
        return found

    @property  # type: ignore[misc]  # rich lets it be set, which nothing here does
    def size(self) -> ConsoleDimensions:
        """Of what is written to: the terminal's, else wide. What is wider than this is cut off, so it is not a property of one print."""
        found = super().size
        return found if self.is_terminal or "COLUMNS" in os.environ else ConsoleDimensions(WIDE, found.height)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does, without the frames of tables where there is no terminal."""
        if isinstance(renderable, Table) and not self.is_terminal:
            renderable.box = None
        return super().render(renderable, options)

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does, but a line of text is never cut or wrapped where there is no terminal; with DETKDS_LOG=json every line becomes an
        object with `time` and `text`."""
        if not self.is_terminal and all(isinstance(each, str | Text) for each in objects):
            options.setdefault("soft_wrap", True)
        if not logs_json() or self.quiet:
            super().print(*objects, **options)
            return
        page = PlainConsole(file=StringIO(), width=WIDE)
        Console.print(page, *objects, **options)
        for line in page.file.getvalue().splitlines():  # type: ignore[attr-defined]
            if line.strip():
                self.file.write(json.dumps({"time": round(time.time(), 3), "text": line.rstrip()}) + "\n")
        self.file.flush()
