"""Follow a search in the terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
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
from detkds.pipeline.trials_table import losses, trial_tables
from detkds.search.trial import Trial
from detkds.storage.uri import is_s3, open_store

IDLE_S = 120.0
"""From then on a study that writes nothing is reported as silent; longer where its candidates take longer."""


def watch(run: str, work: str, home: Path, *, once: bool, every_s: float, console: Console, trials: int = 0) -> list[dict[str, Any]]:
    """Show the studies of a run until its search is finished, from its beginning on; Ctrl-C ends the watching, not the search.

    Args:
        run: name of a run; or a folder, or an s3:// address, with journals below it; empty: the run that wrote something last.
        work: the place of work where runs are looked for by name; empty: `work` below `home`.
        home: as of `detkds run`.
        once: print the state and end; a search that has not begun is an error then, and waited for otherwise.
        every_s: seconds between two looks.
        console: a terminal shows a table that is drawn anew, anything else one line for every change.
        trials: how many of the last candidates of each unfinished study the table lists (of every study with `once`).

    Returns:
        The studies as plain values, as they were last looked at.

    Raises:
        ConfigError: `every_s` is not positive.
        ArtifactError: there is no such run, or a journal is damaged.
        StoreError: the store cannot be reached or refuses.
    """
    if not every_s > 0:
        raise ConfigError(f"--every must be a number of seconds above 0, got {every_s:g}.")
    with opened(run, work, home, console) as (searches, name):
        alone = not name and bool(run)
        studies: list[StudyView] = []
        if once:
            studies = searches.studies(name)
            console.print(shown(studies))
            console.print(trial_tables(studies, trials))
        else:
            with contextlib.suppress(KeyboardInterrupt):
                studies = _begun(searches, name, every_s, console)
                if console.is_terminal:
                    _draw(searches, name, studies, alone, every_s, console, trials)
                else:
                    _tell(searches, name, studies, alone, every_s, console)
        return [_plain(view) for view in studies]


def _begun(searches: Searches, name: str, every_s: float, console: Console) -> list[StudyView]:
    """The studies of a run, once its search has begun; says that it waits."""
    waiting = False
    while True:
        try:
            return searches.studies(name)
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


def _draw(searches: Searches, run: str, studies: list[StudyView], alone: bool, every_s: float, console: Console, trials: int) -> None:
    def screen() -> Group:
        return Group(shown(studies), trial_tables([view for view in studies if not view.task.finished], trials))

    with Live(screen(), console=console, auto_refresh=False) as live:
        while not is_finished(studies, alone=alone):
            time.sleep(every_s)
            studies = searches.studies(run)
            live.update(screen(), refresh=True)


def _tell(searches: Searches, run: str, studies: list[StudyView], alone: bool, every_s: float, console: Console) -> None:
    printed: dict[str, str] = {}
    while True:
        for view in studies:
            line = f"[{view.task.name}] {_progress(view)}  {_best(view)}  {_rejected(view)}  {_left(view)}"
            if printed.get(view.task.name, "").partition("  ")[0] != line.partition("  ")[0]:  # only what was done, not the clock
                printed[view.task.name] = line
                console.print(line, markup=False, soft_wrap=True)
        if is_finished(studies, alone=alone):
            return
        time.sleep(every_s)
        studies = searches.studies(run)


def shown(studies: Sequence[StudyView]) -> Group:
    """A row a study, and below them who leads in each and who is in work."""
    runs = studies[-1].task.runs
    figures = Table(
        box=SIMPLE_HEAD, title=f"search of {runs[-1]}" if runs else None, title_style="bold", title_justify="left", padding=(0, 1, 0, 0)
    )
    figures.add_column("study", no_wrap=True)
    for column in ("", "done", "best AP", "gain", "rejected", "per hour", "time left"):
        figures.add_column(column, justify="right", no_wrap=True)
    leaders = Table.grid(padding=(0, 2), pad_edge=True)
    leaders.add_column(no_wrap=True)
    leaders.add_column(overflow="fold")
    for view in studies:
        figures.add_row(*_row(view), style="dim" if view.task.finished else "")
        for word, text in _candidates(view):
            leaders.add_row(f"{view.task.name} {word}", Text(text), style="dim" if word == "now" else "")
    for name in awaited(studies):
        figures.add_row(name, "", "", "", "", "", "", "not begun", style="dim")
    return Group(figures, leaders)


def _row(view: StudyView) -> list[RenderableType]:
    best, base, pace = view.study.best, view.study.baseline, view.pace_s
    gain = None if best is None or best.score is None or base is None else best.score - base
    return [
        view.task.name,
        ProgressBar(total=max(view.expected, 1), completed=len(view.trials), width=7),
        _progress(view),
        _percent(best),
        "" if gain is None else f"{100 * gain:+.1f}",
        str(sum(view.study.rejected.values())),
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
    return "rejected " + (", ".join(f"{number} {kind}" for kind, number in view.study.rejected.items()) or "none")


def _left(view: StudyView) -> str:
    if view.task.finished:
        return "left out" if view.task.reason else "finished"
    if silent := _silent_s(view):
        return f"silent for {_duration(silent)}"
    return "" if view.left_s is None else _duration(view.left_s)


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


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes < 48 * 60 else f"{minutes // 1440} d {minutes % 1440 // 60} h"
