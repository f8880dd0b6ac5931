"""The line at the foot of a terminal while a run works: stage, bar, count, loss, images per second, time left."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from detkds.errors import StoreError
from detkds.pipeline.progress import logs_json, shown
from detkds.pipeline.stages import numbered, stage_of
from detkds.pipeline.task_progress import RunProgress, TaskProgress, duration
from detkds.storage.folder import FolderStore

_COUNT = re.compile(r"(?:[\w ]+: )?(?:[a-z]+ )?(\d+)/(\d+)\b")
SHORTEST_BAR, LONGEST_BAR = 6, 30
PER_SECOND = 4


class StageLine:
    """Shows the progress lines of a run, and on a terminal the stage it is in as one line below them, until the block ends.

    A terminal gets no line for each count, since the live line has it; the last count of a task stays, as its end. Elsewhere, where nothing
    is printed (`quiet`) and where logs are JSON there is no live line.

    Args:
        console: gets it all.
        stages: titles in their order.
        work: the folder in which the tasks say how far they are.
        run: its name.
    """

    def __init__(self, console: Console, stages: Sequence[str], work: Path, run: str) -> None:
        self._console, self._stages, self._run = console, tuple(stages), run
        self._store = FolderStore(work)
        self._show = shown(console)
        self._began = time.time()
        self._stage, self._stage_began = "", time.time()
        self._begun: list[str] = []
        self._live: Live | None = None

    def __enter__(self) -> StageLine:
        self._start()
        return self

    def _start(self) -> None:
        if self._console.is_terminal and not self._console.quiet and not logs_json():
            # Tasks redirect sys.stdout, and a thread draws the live line meanwhile: its console keeps to the terminal.
            self._console = Console(file=self._console.file, highlight=False, force_terminal=True)
            self._show = shown(self._console)
            self._live = Live(
                get_renderable=self.render,
                console=self._console,
                refresh_per_second=PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def __exit__(self, *error: object) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """There is no live line while the block runs, for a run inside this one, which has its own."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def show(self, line: str) -> None:
        """A progress line of a task, such as "[train distilled] step 12/40  loss 1.234"."""
        title, _, text = line.removeprefix("[").partition("] ")
        self.enter(title)
        found = _COUNT.match(text)
        if self._live is None or found is None or found[1] == found[2]:
            self._show(line)

    def enter(self, title: str) -> None:
        """A stage begins; what is none changes nothing."""
        self._enter(title, time.time())

    def _enter(self, title: str, when: float) -> None:
        if title in self._stages and title != self._stage:
            self._stage, self._stage_began = title, when
            self._begun += [] if title in self._begun else [title]

    def now(self) -> tuple[str, TaskProgress | None]:
        """The stage that the run is in, empty before the first, and how far it is where it counts anything."""
        found = RunProgress()
        with contextlib.suppress(StoreError):  # before anything wrote there
            found = RunProgress.read(self._store, self._run)
        tasks = [task for task in found.tasks.values() if task.when >= self._began]
        newest = max(tasks, key=lambda task: task.when, default=None)
        if newest is not None and newest.when >= self._stage_began:
            self._enter(stage_of(newest.task), newest.when)
            if stage_of(newest.task) == self._stage:
                passed = time.time() - newest.when
                return self._stage, replace(newest, left_s=newest.left_s and max(newest.left_s - passed, 0.0))
        return self._stage, None

    def place(self, stage: str) -> str:
        """`stage 3 of 10`."""
        return f"stage {numbered(stage, self._stages, self._begun)} of {len(self._stages)}"

    def interrupted(self) -> str:
        """What to say where Ctrl-C ends the run: where it was, what is kept, and how to resume."""
        stage, task = self.now()
        if not stage:
            return "interrupted before the first stage; start the same command again"
        finished = numbered(stage, self._stages, self._begun) - 1
        listed = {0: "", 1: "stage 1"}.get(finished, f"stages 1 to {finished}")
        kept = "; ".join(filter(None, (listed, task.kept if task else ""))) or "nothing yet"
        at = f" at {task.count}" if task else ""
        lines = (f"interrupted in {self.place(stage)} ({stage}){at}", f"kept: {kept}")
        return "\n".join([*lines, "start the same command again: it resumes from there, with the same result"])

    def render(self) -> Table | Text:
        """The line as wide as the terminal; what does not fit is left out from its end, the bar first."""
        stage, task = self.now()
        if task is None:
            passed = duration(time.time() - self._stage_began)
            return Text(f"{self.place(stage)}  {stage}  {passed}" if stage else f"checking the run  {passed}", "cyan", no_wrap=True)
        return stage_row(self.place(stage), task, self._console.width)


def stage_row(place: str, task: TaskProgress, width: int) -> Table:
    """One line of at most `width` columns: place in the run, title, bar, count, and as much of the rest as there is room for."""
    head = Text.assemble((place, "dim"), " " if place else "", (task.task, "cyan"))
    room = width - head.cell_len - 2
    text = next((line for line in task.lines if len(line) + SHORTEST_BAR < room), task.count)
    cells: list[Text | ProgressBar] = [head, Text(text, no_wrap=True, overflow="ellipsis")]
    if len(text) + SHORTEST_BAR < room:
        cells.insert(1, ProgressBar(total=max(task.total, 1), completed=task.done, width=min(room - len(text) - 1, LONGEST_BAR)))
    line = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    for _ in cells:
        line.add_column(no_wrap=True)
    line.add_row(*cells)
    return line
