"""Follow a run in the terminal: its search, its trainings, its evaluation."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from detkds.errors import ArtifactError, ConfigError
from detkds.genome import Recipe
from detkds.pipeline.local_store import local_store
from detkds.pipeline.searches import NotBegun, Searches, StudyView, awaited, is_finished
from detkds.pipeline.stages import BASELINE, DISTILLED, EVALUATE, REPORT, TEACHER
from detkds.pipeline.task_progress import LINE_S, RunProgress, TaskProgress, duration
from detkds.pipeline.trials_table import losses, trial_tables
from detkds.search.trial import Trial
from detkds.storage.uri import is_s3, open_store

PER_SECOND = 4
IDLE_S = 120.0
"""From then on a study that writes nothing is reported as silent; longer where its candidates take longer."""


@dataclass(frozen=True)
class Seen:
    """A run as it was looked at: its studies, and how far its tasks are."""

    studies: Sequence[StudyView]
    progress: RunProgress

    @property
    def others(self) -> list[TaskProgress]:
        """The tasks that conduct no study, in the order of the run: trainings and the evaluation."""
        tasks = self.progress.tasks
        return [tasks.get(name, TaskProgress(name)) for name in (TEACHER, BASELINE, DISTILLED, EVALUATE) if self._expects(name)]

    def _expects(self, name: str) -> bool:
        return name in self.progress.tasks or name in self.progress.stages

    @property
    def begun(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.studies or self.progress.tasks)

    def is_finished(self, *, alone: bool) -> bool:
        """Whether nothing more will come: of a whole run its report is the last, of a search alone its last study."""
        if self.progress.stages:
            return REPORT in self.progress.tasks
        return bool(self.studies) and is_finished(self.studies, alone=alone)


def watch(run: str, work: str, home: Path, *, once: bool, every_s: float, console: Console, trials: int = 0) -> dict[str, Any]:
    """Show the studies, trainings and the evaluation of a run until it is finished, from its beginning on; Ctrl-C ends the watching, not
    the run.

    Args:
        run: name of a run; or a folder, or an s3:// address, with journals below it; empty: the run that wrote something last.
        work: the place of work where runs are looked for by name; empty: `work` below `home`.
        home: as of `detkds run`.
        once: print the state and end; a run that has not begun is an error then, and waited for otherwise.
        every_s: seconds between two looks.
        console: a terminal shows a screen that is drawn anew, also when its size changes; anything else one line for every change.
        trials: how many of the last candidates of each unfinished study the screen lists (of every study with `once`).

    Returns:
        `studies` and `tasks`, the trainings and the evaluation, as plain values, as they were last looked at.

    Raises:
        ConfigError: `every_s` is not positive.
        ArtifactError: there is no such run, or a journal is damaged.
        StoreError: the store cannot be reached or refuses.
    """
    if not every_s > 0:
        raise ConfigError(f"--every must be a number of seconds above 0, got {every_s:g}.")
    with opened(run, work, home, console) as (searches, name):
        alone = not name and bool(run)
        seen = Seen((), RunProgress())
        if once:
            seen = _look(searches, name)
            console.print(shown(seen))
            console.print(trial_tables(seen.studies, trials))
        else:
            with contextlib.suppress(KeyboardInterrupt):
                seen = _begun(searches, name, every_s, console)
                follow = _draw if console.is_terminal else _tell
                seen = follow(searches, name, seen, alone, every_s, console, trials)
        return {"studies": [_plain(view) for view in seen.studies], "tasks": [asdict(task) for task in seen.others]}


def _look(searches: Searches, name: str) -> Seen:
    """A run as it stands.

    Raises:
        NotBegun: there is no such run.
    """
    try:
        studies: Sequence[StudyView] = searches.studies(name)
    except NotBegun:
        found = Seen((), searches.progress(name))
        if not found.begun:
            raise
        return found
    runs = studies[-1].task.runs
    return Seen(studies, searches.progress(name or (runs[-1] if runs else "")))


def _begun(searches: Searches, name: str, every_s: float, console: Console) -> Seen:
    """A run, once it has begun; says that it waits."""
    waiting = False
    while True:
        try:
            return _look(searches, name)
        except NotBegun as error:
            if not waiting:
                console.print(f"waiting: {error} Ctrl-C ends the waiting.", markup=False, soft_wrap=True)
            waiting = True
            time.sleep(every_s)


def _plain(view: StudyView) -> dict[str, Any]:
    """What the table says of a study."""
    best, base = view.study.best, view.study.baseline
    return {
        "study": view.task.name,
        "runs": list(view.task.runs),
        "done": len(view.trials),
        "expected": view.expected,
        "finished": view.task.finished,
        "left_out": view.task.reason,
        "best_ap": best.score if best else None,
        "best_recipe": _candidate(view, best.recipe) if best else "",
        "no_distillation_ap": base,
        "rejected": dict(view.study.rejected),
        "left": dict(view.study.left),
        "seconds_per_candidate": view.pace_s,
        "seconds_left": view.left_s,
    }


@contextlib.contextmanager
def opened(run: str, work: str, home: Path, console: Console) -> Iterator[tuple[Searches, str]]:
    """The searches to look at, and the name of the run in them; empty where `run` is a place itself."""
    at_work = work or str(home.resolve() / "work")
    is_place = bool(run) and (is_s3(run) or (Path(run).is_dir() and not _is_run(run, at_work)))
    address = run if is_place else at_work
    with contextlib.ExitStack() as stack:
        if is_s3(address):
            stack.enter_context(local_store(home, console))
        elif not Path(address).is_dir():
            raise ConfigError(f"{address} does not exist: start a search, or name a run's folder or s3:// address, or --work.")
        yield Searches(open_store(address)), "" if is_place else run


def _is_run(name: str, work: str) -> bool:
    """Whether a run of this name has unfinished work, so that a folder of the same name is not taken for it; `./NAME` is the folder."""
    if "/" in name or is_s3(work) or not Path(work).is_dir():
        return False
    try:
        Searches(open_store(work)).studies(name)
    except ArtifactError:
        return False
    return True


def _draw(searches: Searches, run: str, seen: Seen, alone: bool, every_s: float, console: Console, trials: int) -> Seen:
    """The screen of a terminal, which a thread draws anew several times a second, so that it fits when the size changes."""
    found = seen

    def screen() -> Group:
        return Group(shown(found), trial_tables([view for view in found.studies if not view.task.finished], trials))

    try:
        with Live(get_renderable=screen, console=console, screen=True, refresh_per_second=PER_SECOND) as live:
            live.refresh()
            while not found.is_finished(alone=alone):
                time.sleep(every_s)
                found = _look(searches, run)
    finally:
        console.print(screen())  # the screen goes, what was last on it stays
    return found


def _tell(searches: Searches, run: str, seen: Seen, alone: bool, every_s: float, console: Console, trials: int) -> Seen:
    """A line for each study that got further, and for each other task every 30 seconds and at its end."""
    printed: dict[str, str] = {}
    due: dict[str, float] = {}
    while True:
        for view in seen.studies:
            line = f"[{view.task.name}] {_progress(view)}  {_best(view)}  {_rejected(view)}  {_left(view)}"
            if printed.get(view.task.name, "").partition("  ")[0] != line.partition("  ")[0]:  # only what was done, not the clock
                printed[view.task.name] = line
                console.print(line, markup=False, soft_wrap=True)
        for task in seen.others:
            line = f"[{task.task}] {task.line}"
            if task.total and printed.get(task.task) != line and (task.finished or time.monotonic() >= due.get(task.task, 0.0)):
                printed[task.task], due[task.task] = line, time.monotonic() + LINE_S
                console.print(line, markup=False, soft_wrap=True)
        if seen.is_finished(alone=alone):
            return seen
        time.sleep(every_s)
        seen = _look(searches, run)


def shown(seen: Seen) -> Group:
    """A row a study, below them who leads in each and who is in work, and a row for each training and the evaluation."""
    parts: list[RenderableType] = [*([_studies(seen.studies)] if seen.studies else []), _leaders(seen.studies)]
    return Group(*parts, *([_others(seen.others)] if seen.others else []))


def _studies(studies: Sequence[StudyView]) -> Table:
    runs = studies[-1].task.runs
    figures = Table(
        box=SIMPLE_HEAD, title=f"search of {runs[-1]}" if runs else None, title_style="bold", title_justify="left", padding=(0, 1, 0, 0)
    )
    figures.add_column("study", no_wrap=True)
    left = any(view.study.left for view in studies)
    for column in ("", "done", "best AP", "gain", "rejected", *(["at a rung"] if left else []), "per hour", "time left"):
        figures.add_column(column, justify="right", no_wrap=True)
    for view in studies:
        figures.add_row(*_row(view, left=left), style="dim" if view.task.finished else "")
    for name in awaited(studies):
        figures.add_row(name, *[""] * (len(figures.columns) - 2), "not begun", style="dim")
    return figures


def _leaders(studies: Sequence[StudyView]) -> Table:
    leaders = Table.grid(padding=(0, 2), pad_edge=True)
    leaders.add_column(no_wrap=True)
    leaders.add_column(overflow="fold")
    for view in studies:
        for word, text in _candidates(view):
            leaders.add_row(f"{view.task.name} {word}", Text(text), style="dim" if word == "now" else "")
    return leaders


def _others(tasks: Sequence[TaskProgress]) -> Table:
    table = Table(box=SIMPLE_HEAD, title="trainings and evaluation", title_style="bold", title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("task", no_wrap=True)
    for column in ("", "done", "loss", "images/s", "time left"):
        table.add_column(column, justify="right", no_wrap=True)
    for task in tasks:
        bar = ProgressBar(total=max(task.total, 1), completed=task.done, width=7) if task.total else ""
        count, note = (task.count if task.total else ""), task.note.removeprefix("loss ")
        pace = "" if task.images_s is None else f"{task.images_s:.1f}"
        table.add_row(task.task, bar, count, note, pace, _left_of(task), style="dim" if task.finished or not task.total else "")
    return table


def _left_of(task: TaskProgress) -> str:
    if not task.total:
        return "not begun"
    if task.finished:
        return "finished"
    silent = time.time() - task.when
    if silent > IDLE_S:
        return f"silent for {duration(silent)}"
    return "" if task.left_s is None else duration(task.left_s)


def _row(view: StudyView, *, left: bool) -> list[RenderableType]:
    best, base, pace = view.study.best, view.study.baseline, view.pace_s
    gain = None if best is None or best.score is None or base is None else best.score - base
    return [
        view.task.name,
        ProgressBar(total=max(view.expected, 1), completed=len(view.trials), width=7),
        _progress(view),
        _percent(best),
        "" if gain is None else f"{100 * gain:+.1f}",
        str(sum(view.study.rejected.values())),
        *([str(sum(view.study.left.values()))] if left else []),
        "" if pace is None else f"{3600 / pace:,.0f}",
        Text(_left(view)),
    ]


def _candidates(view: StudyView) -> Iterator[tuple[str, str]]:
    if view.task.reason:
        yield "left out", view.task.reason
    if view.study.best is not None:
        yield "best", _candidate(view, view.study.best.recipe)
    if view.running is not None and not _silent_s(view):
        yield "now", _candidate(view, view.running.recipe)


def _progress(view: StudyView) -> str:
    return "" if view.task.reason else f"{len(view.trials)}/{view.expected}"


def _best(view: StudyView) -> str:
    if view.task.reason:
        return f"left out: {view.task.reason}"
    base = "" if view.study.baseline is None else f" (no distillation {100 * view.study.baseline:.1f})"
    return f"best {_percent(view.study.best)}{base}" if view.study.best else "no score yet"


def _rejected(view: StudyView) -> str:
    left = "".join(f"  {number} {kind}" for kind, number in view.study.left.items())
    return "rejected " + (", ".join(f"{number} {kind}" for kind, number in view.study.rejected.items()) or "none") + left


def _left(view: StudyView) -> str:
    if view.task.finished:
        return "left out" if view.task.reason else "finished"
    if silent := _silent_s(view):
        return f"silent for {duration(silent)}"
    return "" if view.left_s is None else duration(view.left_s)


def _silent_s(view: StudyView) -> float:
    """Since when a study that should be at work has written nothing, in seconds; 0 where that is nothing unusual."""
    silent = time.time() - view.changed
    slowest = max(view.seconds.values(), default=0.0)
    return silent if silent > max(IDLE_S, 3 * slowest) and not view.task.finished else 0.0


def _percent(trial: Trial | None) -> str:
    return "" if trial is None or trial.score is None else f"{100 * trial.score:.1f}"


def _candidate(view: StudyView, recipe: Recipe) -> str:
    """Without the knowledge where the study is named after it."""
    return losses(recipe, view.task.name)
