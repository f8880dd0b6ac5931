"""Candidates that left their training at a rung, as `watch`, `export` and the report show them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from detkds.genome import Knowledge
from detkds.pipeline import studies
from detkds.pipeline.export_trials import export
from detkds.pipeline.report import _points
from detkds.pipeline.searches import Searches, StudyView
from detkds.pipeline.task import RUN, Task
from detkds.pipeline.watch import watch
from detkds.report import ReportedStudy, tables
from detkds.report.figures.search import search_curve
from detkds.search import Evolution, History, SearchSettings, SearchSpace, TrialState
from detkds.search.rungs import Rungs
from detkds.storage import FolderStore
from detkds.testing.climbing import Climbing


class Proxy(Climbing):
    def identify(self, recipe: Any) -> str:
        return str(recipe.digest)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a search that is finished."""
    folder = tmp_path_factory.mktemp("home")
    designer = Rungs(Evolution(SearchSpace.preset(), Knowledge.GLOBAL, SearchSettings(8, 12, 0.9, 2), 0))
    proxy: Any = Proxy(0.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKDS_HOME", str(folder))
        patch.setenv(RUN, "raced")
        conducted = studies.conduct("evolve global", Task("global", 33, ("global",)), designer, proxy, {"seed": 0})
        published = studies.publish(conducted, folder / "artifact")
    (folder / "markdown.txt").write_text(published.markdown)
    return folder


@pytest.fixture
def view(home: Path) -> StudyView:
    (found,) = Searches(FolderStore(home / "work")).studies("raced")
    return found


def said(home: Path, **options: Any) -> str:
    out = io.StringIO()
    watch(str(home / "work"), "", home, every_s=1, console=Console(file=out, width=120, highlight=False), **options)
    return out.getvalue()


def test_watch_counts_them_and_lists_what_they_would_have_reached(home: Path, view: StudyView) -> None:
    left = [trial for trial in view.trials if trial.state is TrialState.LEFT]
    lines = said(home, once=False).splitlines()
    assert any(f"  {number} {kind}" in lines[-1] for kind, number in view.study.left.items())
    screen = said(home, once=True, trials=40)
    assert "at a rung" in screen
    for trial in left:
        row = next(line.split() for line in screen.splitlines() if line.split()[:1] == [str(trial.number)])
        assert " ".join(row[-5:]) == f"~ {100 * trial.details['estimate']:.1f} {str(trial.reason).partition(':')[0]}"


def test_the_table_of_trials_has_their_scores_at_the_rungs(home: Path, view: StudyView, tmp_path: Path) -> None:
    export("raced", "", home, table=tmp_path / "trials.csv", console=Console(file=io.StringIO()))
    rows = {int(row["number"]): row for row in csv.DictReader((tmp_path / "trials.csv").read_text().splitlines())}
    for trial in view.trials:
        row = rows[trial.number]
        assert {name: row[f"AP at {name}"] for name in ("1/4", "1/2")} == {
            name: str(trial.rungs[name]) if name in trial.rungs else "" for name in ("1/4", "1/2")
        }
        if trial.state is TrialState.LEFT:
            assert (row["state"], row["AP"], row["reason"]) == ("left", "", trial.reason)
            assert float(row["estimate"]) == trial.details["estimate"]


def test_in_optuna_they_are_pruned_without_a_value(home: Path, view: StudyView, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    export("raced", "", home, optuna=tmp_path / "study.db", console=Console(file=io.StringIO()))
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    found = optuna.load_study(study_name="raced global", storage=storage).trials
    storage.engine.dispose()
    for trial, other in zip(view.trials, found, strict=True):
        assert (other.state.name == "PRUNED") == (trial.state is TrialState.LEFT)
        assert other.value == trial.score
        assert {name: other.user_attrs[f"AP at {name}"] for name in trial.rungs} == trial.rungs


def test_the_report_counts_them_apart_from_the_rejected(home: Path, view: StudyView) -> None:
    study = ReportedStudy("global", _points(History.read(home / "artifact" / "journal.jsonl"), {}))
    shown = tables.studies([study])
    at = [column.title for column in shown.columns].index("left at a rung")
    assert shown.rows[0][at] == str(view.study.counts.left)
    assert tables.rejections([study]).rows == ()
    outcomes = {row[0]: row[4] for row in tables.trials(study).rows}
    for trial in view.trials:
        if trial.state is TrialState.LEFT:
            assert outcomes[str(trial.number)] == trial.reason
    figure = search_curve(study)
    assert figure is not None
    assert "left its training at a rung" in [key.name for key in figure.legend]


def test_the_stage_says_where_each_left(home: Path, view: StudyView) -> None:
    markdown = (home / "markdown.txt").read_text()
    for trial in view.trials:
        if trial.state is TrialState.LEFT:
            assert f"| {trial.reason} |" in markdown
