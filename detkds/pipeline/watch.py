"""Follow a run in the terminal: its search, its trainings, its evaluation."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live

from detkds.errors import ArtifactError, ConfigError
from detkds.pipeline.local_store import local_store
from detkds.pipeline.searches import NotBegun, Searches, StudyView
from detkds.pipeline.task_progress import LINE_S, RunProgress
from detkds.pipeline.trials_table import trial_tables
from detkds.pipeline.watch_screen import Seen, candidate, shown, study_line
from detkds.storage.uri import is_s3, open_store

PER_SECOND = 4


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
        "best_recipe": candidate(view, best.recipe) if best else "",
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
            line = study_line(view)
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
