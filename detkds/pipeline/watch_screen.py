"""What `detkds watch` shows of a run: a row per study, training and evaluation on a terminal, a line per study elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from detkds.genome import Recipe
from detkds.objective import SCORES
from detkds.pipeline.fitting_table import FittingTable
from detkds.pipeline.searches import StudyView, awaited, is_finished
from detkds.pipeline.stages import BASELINE, DISTILLED, EVALUATE, REPORT, TEACHER
from detkds.pipeline.task_progress import RunProgress, TaskProgress, duration
from detkds.pipeline.trials_table import losses
from detkds.search.trial import Trial

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


def shown(seen: Seen) -> Group:
    """A row per study, below them the best candidate of each and the one in training, and a row per training and for the evaluation."""
    parts: list[RenderableType] = [*([_studies(seen.studies)] if seen.studies else []), _leaders(seen.studies)]
    return Group(*parts, *([_others(seen)] if seen.others else []))


def _studies(studies: Sequence[StudyView]) -> FittingTable:
    runs, left = studies[-1].task.runs, any(view.study.left for view in studies)
    columns = (
        "study",
        "",
        "done",
        f"best {SCORES[studies[-1].study.scored_by]}",
        "gain",
        "rejected",
        *(["at a rung"] if left else []),
        "per hour",
        "time left",
    )
    table = FittingTable(f"search of {runs[-1]}" if runs else "", columns, ("per hour", "at a rung", "rejected", "", "gain"))
    for view in studies:
        table.add_row(*_row(view, left=left), style="dim" if view.task.finished else "")
    for name in awaited(studies):
        table.add_row(name, *[""] * (len(columns) - 2), "not begun", style="dim")
    return table


def _leaders(studies: Sequence[StudyView]) -> Table:
    leaders = Table.grid(padding=(0, 2), pad_edge=True)
    leaders.add_column(no_wrap=True)
    leaders.add_column(overflow="fold")
    for view in studies:
        for word, text in _candidates(view):
            leaders.add_row(f"{view.task.name} {word}", Text(text), style="dim" if word == "now" else "")
    return leaders


def _others(seen: Seen) -> FittingTable:
    columns = ("task", "", "done", "loss", "images/s", "time left")
    table = FittingTable("trainings and evaluation", columns, ("images/s", "", "loss"))
    for task in seen.others:
        bar = ProgressBar(total=max(task.total, 1), completed=task.done, width=7) if task.total else ""
        count, note = (task.count if task.total else ""), task.note.removeprefix("loss ")
        pace = "" if task.images_s is None else f"{task.images_s:.1f}"
        table.add_row(
            task.task,
            bar,
            count,
            note,
            pace,
            _left_of(task, ended=REPORT in seen.progress.tasks),
            style="dim" if task.finished or not task.total else "",
        )
    return table


def _left_of(task: TaskProgress, *, ended: bool) -> str:
    if not task.total:
        return "from an earlier run" if ended else "not begun"  # a run that ended without it took what another had made
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
        yield "best", candidate(view, view.study.best.recipe)
    if view.running is not None and not _silent_s(view):
        yield "now", candidate(view, view.running.recipe)


def study_line(view: StudyView) -> str:
    """A study in one line, for a log; what was done comes first."""
    return f"[{view.task.name}] {_progress(view)}  {_best(view)}  {_rejected(view)}  {_left(view)}"


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


def candidate(view: StudyView, recipe: Recipe) -> str:
    """Without the knowledge where the study is named after it."""
    return losses(recipe, view.task.name)
