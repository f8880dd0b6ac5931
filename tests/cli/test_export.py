"""`detkds export`: what Optuna and a table reader find is what the journals say."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from played import EXPECTED, FOUND, Objective, play
from rich.console import Console

from detkds.cli import main
from detkds.errors import ConfigError
from detkds.genome import SLOTS, Genome, Knowledge, Recipe
from detkds.pipeline.export_trials import export
from detkds.pipeline.searches import Searches, StudyView
from detkds.pipeline.studies import conduct
from detkds.pipeline.task import WEIGHTS, Task
from detkds.search import SearchSpace
from detkds.search.listed import Listed
from detkds.search.trial import Trial, TrialState
from detkds.storage import FolderStore


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKDS_HOME", str(folder))
        play("demo", "")
    return folder


def studies(home: Path) -> dict[str, StudyView]:
    return {study.task.name: study for study in Searches(FolderStore(home / "work")).studies("demo") if study.trials}


def take(home: Path, **options: Any) -> str:
    out = io.StringIO()
    export("demo", "", home, **options, console=Console(file=out, width=200))
    return out.getvalue()


def loaded(db: Path, name: str) -> Any:
    optuna = pytest.importorskip("optuna")
    storage = optuna.storages.RDBStorage(f"sqlite:///{db}")
    try:
        return optuna.load_study(study_name=name, storage=storage), storage.get_all_trials(storage.get_study_id_from_name(name))
    finally:
        storage.engine.dispose()


def test_every_study_is_a_study_of_optuna_with_the_same_trials(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    db = tmp_path / "new" / "study.db"
    said = take(home, optuna=db)
    assert f"{db}  30 trials of 3 studies" in said  # 11 + 11 + 8
    assert f"optuna-dashboard sqlite:///{db}" in said
    states: set[str] = set()
    for name, study in studies(home).items():
        _, found = loaded(db, f"demo {name}")
        assert len(found) == EXPECTED[name]
        for trial, other in zip(study.trials, found, strict=True):
            same(trial, other, study)
            states.add(other.state.name)
    assert states == {"COMPLETE", "PRUNED", "FAIL"}


def same(trial: Trial, other: Any, study: StudyView) -> None:
    wanted = {TrialState.COMPLETE: "PRUNED" if trial.partial else "COMPLETE", TrialState.REJECTED: "FAIL"}[trial.state]
    assert (other.number, other.state.name) == (trial.number, wanted)
    assert other.value == trial.score
    assert Recipe.parse(other.user_attrs["candidate"]) == trial.recipe
    assert other.user_attrs.get("reason") == trial.reason
    assert other.user_attrs.get("answered_by") == trial.answered_by
    assert other.user_attrs.get("seconds") == study.seconds.get(trial.number)
    if trial.score is not None:
        assert other.user_attrs["AP50"] == trial.details["AP50"]
    if not trial.recipe.genomes:
        assert other.params == {}
    elif study.task.name == WEIGHTS:
        assert other.params == {f"{genome.knowledge} weight": genome.weight for genome in trial.recipe.genomes}
    else:
        (genome,) = trial.recipe.genomes
        assert other.params == {**genome.slots, "weight": genome.weight}
        assert other.distributions["distance"].choices == SLOTS[Knowledge(study.task.name)]["distance"]


def test_a_study_of_whole_recipes_has_the_genes_of_each_genome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of the known distillers, whose recipes have genomes of several knowledges, and FGD two of one."""
    pytest.importorskip("optuna")
    monkeypatch.setenv("DETKDS_HOME", str(tmp_path))
    texts = [
        "global: none > none > none | l2 x 5",
        "global: none > none > none | l2 x 8; global: smap > none > softmax | l1 x 2; logits: softmax_C | pearson x 3",
    ]
    recipes = [Recipe.parse(text) for text in texts]
    task = Task("known distillers", 3)
    conduct("known distillers", task, Listed(recipes, "known distillers"), Objective(), {"recipes": texts})  # type: ignore[arg-type]
    export("", "", tmp_path, optuna=tmp_path / "study.db", console=Console(quiet=True))
    _, (without, single, several) = loaded(tmp_path / "study.db", "known distillers")
    slots = ("attention", "scale", "norm", "distance", "weight")
    assert without.params == {}
    assert single.params == dict(zip((f"global {slot}" for slot in slots), ("none", "none", "none", "l2", 5.0), strict=True))
    assert several.params == {
        **dict(zip((f"global {slot}" for slot in slots), ("none", "none", "none", "l2", 8.0), strict=True)),
        **dict(zip((f"global 2 {slot}" for slot in slots), ("smap", "none", "softmax", "l1", 2.0), strict=True)),
        "logits transform": "softmax_C",
        "logits distance": "pearson",
        "logits weight": 3.0,
    }


def test_the_best_of_optuna_is_ours(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    take(home, optuna=tmp_path / "study.db")
    for name, study in studies(home).items():
        made, _ = loaded(tmp_path / "study.db", f"demo {name}")
        assert made.direction.name == "MAXIMIZE"
        assert study.study.best is not None
        assert (made.best_trial.number, made.best_value) == (study.study.best.number, study.study.best.score)


def test_the_table(home: Path, tmp_path: Path) -> None:
    take(home, table=tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    trials = [(name, trial) for name, study in studies(home).items() for trial in study.trials]
    assert len(rows) == len(trials) == 30
    for row, (name, trial) in zip(rows, trials, strict=True):
        assert (row["study"], int(row["number"]), row["state"]) == (name, trial.number, str(trial.state))
        assert row["AP"] == ("" if trial.score is None else str(trial.score))
        assert row["reason"] == (trial.reason or "")
        texts = [text for text in row["candidate"].split("; ") if text != "no distillation"]
        assert tuple(map(Genome.parse, texts)) == trial.recipe.genomes
    assert len(FOUND) == 2


def test_a_file_is_replaced_only_when_told(home: Path, tmp_path: Path) -> None:
    table, db = tmp_path / "trials.csv", tmp_path / "study.db"
    table.write_text("mine")
    with pytest.raises(ConfigError, match=r"trials\.csv exists and is not replaced; name another file, or add --force\."):
        take(home, table=table, optuna=db)
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"]
    assert table.read_text() == "mine"
    take(home, table=table, force=True)
    assert table.read_text().startswith("study,number,state,AP,")
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"]


def test_without_optuna_it_is_one_line_with_the_command(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"optuna, which is not installed: pip install 'detkds\[optuna\]'$"):
        take(home, optuna=tmp_path / "study.db")
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_write_is_a_usage_error(home: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"--optuna study\.db, --csv trials\.csv, --tensorboard FOLDER, --fiftyone FOLDER or --mlflow FOLDER\.$"
    ):
        take(home)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--csv", "a.csv", "--images", "x"], "--images belongs to --fiftyone and --mlflow, and neither is given; leave it out."),
        (["--csv", "a.csv", "--store", "s3://x"], "--store belongs to --fiftyone and --mlflow, and neither is given; leave it out."),
        (["--fiftyone", "f", "--work", "x"], "--work belongs to --optuna, --csv and --tensorboard, and none is given; leave it out."),
        (["--fiftyone", "f", "--force"], "--force belongs to --optuna, --csv and --tensorboard, and none is given; leave it out."),
        (["--csv", "there.csv", "--fiftyone", "f"], "there.csv exists and is not replaced; name another file, or add --force."),
        (["--csv", "a.csv", "--fiftyone", "."], "--fiftyone . is not an empty folder; name another one."),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.csv").touch()
    monkeypatch.setattr(sys, "argv", ["detkds", "export", "demo", *words, "--home", "home"])
    with pytest.raises(SystemExit, match=r"^2$"):
        main()
    assert line in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["there.csv"]


def test_options_from_the_environment_are_not_meant_for_one_command(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETKDS_STORE", "s3://x")
    monkeypatch.setattr(sys, "argv", ["detkds", "export", "demo", "--csv", str(tmp_path / "a.csv"), "--home", str(home)])
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    assert (tmp_path / "a.csv").exists()


def test_tensorboard_has_each_scored_trial_and_the_curve_of_each_study(home: Path, tmp_path: Path) -> None:
    """Read back by TensorBoard's own reader."""
    said = take(home, tensorboard=tmp_path / "board")
    assert f"look at it with: tensorboard --logdir {tmp_path / 'board'}" in said
    scored = 0
    for name, study in studies(home).items():
        trials = [trial for trial in study.trials if trial.score is not None]
        scored += len(trials)
        curve = events(tmp_path / "board" / name)
        assert [(one.step, round(one.value, 5)) for one in curve.Scalars("AP")] == [(trial.number, trial.score) for trial in trials]
        assert curve.Scalars("best_AP")[-1].value == pytest.approx(study.study.best.score if study.study.best else None)
        for trial in trials:
            given, found = session(tmp_path / "board" / name / f"trial {trial.number}")
            assert found == pytest.approx(trial.score)
            if trial.recipe.active:
                assert Recipe.parse(given["candidate"].replace("; ", "\n")) == Recipe(trial.recipe.active)
            if len(trial.recipe.genomes) == 1 and name != WEIGHTS:
                assert given["distance"] == trial.recipe.genomes[0].slots["distance"]
    assert f"{scored} trials with a score of 3 studies" in said


def test_the_images_of_a_loss_are_a_column_where_the_search_chose_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETKDS_HOME", str(tmp_path))
    play("demo", "", only=("global",), space=replace(SearchSpace.preset(), labelled=(False, True)))
    (study,) = studies(tmp_path).values()
    take(tmp_path, tensorboard=tmp_path / "board", optuna=tmp_path / "study.db")
    _, found = loaded(tmp_path / "study.db", "demo global")
    chosen = {trial.number: "labelled" if trial.recipe.genomes[0].labelled else "all" for trial in study.trials if trial.recipe.genomes}
    assert set(chosen.values()) == {"all", "labelled"}
    assert {trial.number: trial.params["images"] for trial in found if trial.params} == chosen
    assert all(trial.distributions["images"].choices == ("all", "labelled") for trial in found if trial.params)
    for trial in study.trials:
        if trial.score is not None and trial.recipe.genomes:
            assert session(tmp_path / "board" / "global" / f"trial {trial.number}")[0]["images"] == chosen[trial.number]


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def session(folder: Path) -> tuple[dict[str, Any], float]:
    """What the tab HPARAMS shows of a run."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    found = events(folder)
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    given = {name: value.string_value or value.number_value for name, value in start.hparams.items()}
    return given, found.Scalars("trial/AP")[0].value


def test_event_files_are_not_added_to_others(home: Path, tmp_path: Path) -> None:
    (tmp_path / "board").mkdir()
    with pytest.raises(ConfigError, match="exists, and event files are only added to a folder of their own"):
        take(home, tensorboard=tmp_path / "board")
