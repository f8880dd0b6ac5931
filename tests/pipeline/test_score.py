"""search.score on its way from run.yaml to both searches, the race, and all that shows its figures."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from detkds.errors import ArtifactError
from detkds.genome import Knowledge
from detkds.pipeline import evolve, studies, weights
from detkds.pipeline.export_trials import export
from detkds.pipeline.report import _studies
from detkds.pipeline.run_config import Search
from detkds.pipeline.searches import Searches
from detkds.pipeline.settings import Pair, RacePlan, Schedule, SearchPlan, WeightsPlan
from detkds.pipeline.task_progress import RunProgress
from detkds.pipeline.trials_table import trial_tables
from detkds.pipeline.values import Values
from detkds.pipeline.watch_screen import Seen, shown
from detkds.report import figures, tables
from detkds.report.leaderboard import Leaderboard
from detkds.report.study import ReportedStudy
from detkds.storage.folder import FolderStore

PLAN = SearchPlan("paper", "paper", "evolution", 4, 2, 0.9, 2)


def test_a_run_hands_it_to_both_searches_and_to_no_other_stage() -> None:
    values = Values(score="loss")
    assert (values.search_plan.score, values.weights_plan.score) == ("loss", "loss")
    stages = ("check", "subset", "evolve", "weights", "train", "evaluate", "report")
    assert [stage for stage in stages if "score" in values.of_stage(stage)] == ["evolve", "weights"]


def test_it_is_part_of_a_study_and_earlier_journals_stay_theirs() -> None:
    assert Search().score == "ap"
    assert "score" not in PLAN.identity
    assert "score" not in WeightsPlan(4, 2).identity
    assert replace(PLAN, score="loss").identity == {**PLAN.identity, "score": "loss"}
    with pytest.raises(ValueError, match="'ap' or 'loss'"):
        Search(score="mAP")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, pair: Pair, plan: SearchPlan, schedule: Schedule, subset: Path) -> Path:
    """A search by the loss: global.evolve, its weights and the race, with the home beside them."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKDS_HOME", str(folder / "home"))
        by_loss = replace(plan, score="loss")
        evolve.run("global", pair, by_loss, schedule, searched="global", subset=subset, out=folder / "global")
        places = {"subset": subset, "out": folder / "weights", "recipe_out": folder / "recipe"}
        final = RacePlan(candidates=1, seeds=2, known="pkd")
        weights.run([folder / "global"], pair, WeightsPlan(1, 0, score="loss"), schedule, final=final, **places)
    return folder


def test_both_searches_and_the_race_are_by_the_loss(searched: Path) -> None:
    for name in ("global", "weights"):
        summary, history, _ = studies.read(searched / name)
        assert history is not None
        for trial in history.trials.values():
            if "val_loss" in trial.details and not trial.partial:
                assert trial.score == 1 / (1 + trial.details["val_loss"])
        assert summary["no_distillation_score"] == history.trials[0].score == 1 / (1 + history.trials[0].details["val_loss"])
        assert "best_AP" not in summary
        assert studies.read_study(searched / name).scored_by == "loss"
    board = json.loads((searched / "weights" / "leaderboard.json").read_text())
    assert board["score"] == "loss"
    assert all("AP" not in row and 0 < row["score"] < 1 for row in board["rows"])
    races = [json.loads(line) for line in (searched / "weights" / "race-1.jsonl").read_text().splitlines()]
    assert races[0]["settings"]["score"] == "loss"


def test_studies_of_another_score_are_refused(searched: Path, pair: Pair, schedule: Schedule, subset: Path, tmp_path: Path) -> None:
    places = {"subset": subset, "out": tmp_path / "weights", "recipe_out": tmp_path / "recipe"}
    with pytest.raises(ArtifactError, match="global has candidates scored by loss, and the weights are scored by ap; use one for both"):
        weights.run([searched / "global"], pair, WeightsPlan(1, 0), schedule, **places)
    assert not places["out"].exists()


def test_nothing_calls_these_figures_ap(searched: Path, tmp_path: Path) -> None:
    read = [studies.read_study(searched / name) for name in ("global", "weights")]
    assert all("| no. | candidate | search-val score |" in studies.markdown(study, "") for study in read)
    found, _, _ = _studies([searched / "global", searched / "weights"])
    again = ReportedStudy.read({"name": "global", "algorithm": "evolution", "score": "loss", "trials": []})
    assert [study.scored_by for study in (*found, again)] == ["loss"] * 3
    assert [column.title for column in tables.trials(found[0]).columns][2] == "score"
    curve = figures.search_curve(found[0])
    assert curve is not None
    assert curve.plot.y.title == "search-val score, %"
    board = Leaderboard.read(json.loads((searched / "weights" / "leaderboard.json").read_text()))
    assert Leaderboard.read(board.to_json()) == board
    assert tables.leaderboard(board).columns[1].title == "score"

    views = Searches(FolderStore(searched / "home" / "work")).studies("")
    console = Console(file=io.StringIO(), width=160)
    console.print(shown(Seen(views, RunProgress())), trial_tables(views, 3))
    printed = console.file.getvalue()  # type: ignore[attr-defined]  # io.StringIO
    assert "best score" in printed
    assert "AP" not in printed

    export("", str(searched / "home" / "work"), searched / "home", table=tmp_path / "trials.csv", console=Console(file=io.StringIO()))
    head, *rows = csv.reader((tmp_path / "trials.csv").read_text().splitlines())
    assert head[3] == "score"
    assert {row[0] for row in rows} <= {*map(str, Knowledge), "weights", "known distillers", "race 1", "race 2"}
