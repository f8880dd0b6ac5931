"""The last candidates of a study as a table: number, losses, score with its distance to no distillation, state."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from detkds.genome import Recipe
from detkds.objective import SCORES
from detkds.pipeline.searches import StudyView
from detkds.search.trial import ESTIMATE, Trial, TrialState


def trial_tables(studies: Sequence[StudyView], count: int) -> Group:
    """One table per study with its last `count` candidates, the newest last; the one that is being trained is below them."""
    return Group(*(_table(view, count) for view in studies if count and (view.trials or view.running)))


def _table(view: StudyView, count: int) -> Table:
    table = Table(box=SIMPLE_HEAD, title=view.task.name, title_style="bold", title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("no.", justify="right", no_wrap=True)
    table.add_column("losses", overflow="fold", ratio=1)
    for column in (SCORES[view.study.scored_by], "gain"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for trial in view.trials[-count:]:
        table.add_row(str(trial.number), Text(losses(trial.recipe, view.task.name)), *_scores(view, trial), _state(view, trial))
    if view.running is not None:
        number = max(view.history.started.keys() - view.history.trials.keys())
        table.add_row(str(number), Text(losses(view.running.recipe, view.task.name)), "", "", "training", style="dim")
    return table


def losses(recipe: Recipe, study: str) -> str:
    """The active losses on one line, without the knowledge where the study is named after it."""
    return "; ".join(str(genome).removeprefix(f"{study}: ") for genome in recipe.active) or "no distillation"


def _scores(view: StudyView, trial: Trial) -> tuple[str, str]:
    if trial.state is TrialState.LEFT:
        return f"~ {100 * trial.details[ESTIMATE]:.1f}", ""
    if trial.score is None:
        return "", ""
    bound = "≤ " if trial.partial else ""
    base = view.study.baseline
    gain = "" if base is None or trial.number == 0 else f"{100 * (trial.score - base):+.1f}"
    return f"{bound}{100 * trial.score:.1f}", gain


def _state(view: StudyView, trial: Trial) -> Text:
    if trial.state is TrialState.REJECTED:
        return Text(f"rejected: {(trial.reason or '').partition(':')[0]}")
    if trial.state is TrialState.LEFT:
        return Text((trial.reason or "").partition(":")[0])
    best = view.study.best
    return Text("best" if best is not None and trial.number == best.number else "stopped early" if trial.partial else "done")
