"""Stages 2 to 6 on pictures of 64 pixels: each hands on what the next one needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from detkds.errors import ArtifactError, ConfigError, GenomeError
from detkds.genome import Knowledge, Recipe
from detkds.pipeline import evaluate, evolve, report, studies, train, weights
from detkds.pipeline import publish as published
from detkds.pipeline.recipes import parse_recipe, recipe_of
from detkds.pipeline.settings import Pair, RacePlan, Schedule, SearchPlan, WeightsPlan
from detkds.pipeline.task import RUN
from detkds.pipeline.task_progress import RunProgress
from detkds.search.history import History
from detkds.search.trial import TrialState
from detkds.storage import verify
from detkds.storage.folder import FolderStore

FINAL = RacePlan(candidates=2, seeds=2, known="pkd,released-gfl")
PRESET = "global: none > none > norm_batch | l2 x 1"


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="session")
def found(out: Path, pair: Pair, plan: SearchPlan, schedule: Schedule, subset: Path, home: Path) -> dict[str, Path]:
    """One study of two knowledges; the others are left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKDS_HOME", str(home))
        for knowledge in Knowledge:
            evolve.run(knowledge, pair, plan, schedule, searched="global,logits", subset=subset, out=out / knowledge)
    return {str(knowledge): out / knowledge for knowledge in Knowledge}


@pytest.fixture(scope="session")
def combined(out: Path, found: dict[str, Path], pair: Pair, schedule: Schedule, subset: Path, home: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKDS_HOME", str(home))
        places = {"subset": subset, "out": out / "weights", "recipe_out": out / "recipe"}
        weights.run(list(found.values()), pair, WeightsPlan(2, 1), schedule, final=FINAL, **places)
    return out / "weights"


def test_a_study_has_candidate_zero_the_population_and_two_an_iteration(found: dict[str, Path], plan: SearchPlan) -> None:
    summary, history, _ = studies.read(found["global"])
    assert history is not None
    assert len(history.trials) == evolve.candidates(plan) == 1 + 2 + 2 == summary["candidates"]
    assert not history.trials[0].recipe.active
    assert all(trial.recipe.genomes[0].knowledge is Knowledge.GLOBAL for number, trial in history.trials.items() if number)


def test_a_knowledge_that_is_not_searched_says_so(found: dict[str, Path]) -> None:
    summary, history, _ = studies.read(found["instance"])
    assert history is None
    assert summary["reason"] == "not searched in this run"


def test_the_weights_answer_single_losses_from_the_studies(combined: Path) -> None:
    _, history, _ = studies.read(combined)
    assert history is not None
    answered = [trial for trial in history.trials.values() if trial.borrowed]
    assert {len(trial.recipe.active) for trial in answered} == {0, 1}


def test_without_a_race_the_highest_score_wins(
    found: dict[str, Path], pair: Pair, schedule: Schedule, subset: Path, tmp_path: Path
) -> None:
    places = {"subset": subset, "out": tmp_path / "weights", "recipe_out": tmp_path / "recipe"}
    weights.run(list(found.values()), pair, WeightsPlan(2, 1), schedule, final=RacePlan(candidates=0), **places)
    _, history, _ = studies.read(tmp_path / "weights")
    assert history is not None
    scored = [trial for trial in history.trials.values() if trial.state is TrialState.COMPLETE]
    best = Recipe.from_json(json.loads((tmp_path / "recipe" / "recipe.json").read_text()))
    assert best.digest == max(scored, key=lambda trial: (trial.score, -trial.number)).recipe.digest
    assert not (tmp_path / "weights" / "leaderboard.json").exists()


def test_the_leaderboard_has_the_best_of_the_search_known_distillers_and_no_distillation(combined: Path) -> None:
    board = json.loads((combined / "leaderboard.json").read_text())
    rows = {row["name"]: row for row in board["rows"]}
    assert {"no distillation", "pkd"} <= rows.keys()
    assert "released-gfl" not in rows  # of another semantics than the search
    assert len(rows) <= 1 + 1 + 2
    assert board["epochs"] == 2
    assert [row["chosen"] for row in board["rows"]] == [True, *[False] * (len(rows) - 1)]
    best = Recipe.from_json(json.loads((combined.parent / "recipe" / "recipe.json").read_text()))
    assert str(best) == board["rows"][0]["recipe"]
    assert len(rows["no distillation"]["scores"]) == board["seeds"] == 2


def test_each_training_of_the_race_is_a_trial_and_a_race_that_is_run_again_trains_nothing(
    combined: Path, found: dict[str, Path], pair: Pair, schedule: Schedule, subset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journals = {name: History.read(combined / f"{name}.jsonl") for name in ("known-distillers", "race-1", "race-2")}
    assert all(not journal.trials[0].recipe.active for journal in journals.values())
    trained = sum(trial.score is not None for name in ("race-1", "race-2") for trial in journals[name].trials.values())
    assert trained == sum(row["seeds"] for row in json.loads((combined / "leaderboard.json").read_text())["rows"])

    monkeypatch.setattr("detkds.detectors.objective.ProxyObjective.together", None)
    places = {"subset": subset, "out": tmp_path / "weights", "recipe_out": tmp_path / "recipe"}
    weights.run(list(found.values()), pair, WeightsPlan(2, 1), schedule, final=FINAL, **places)
    for name in ("leaderboard.json", "journal.jsonl", "race-1.jsonl", "race-2.jsonl", "known-distillers.jsonl"):
        assert (tmp_path / "weights" / name).read_bytes() == (combined / name).read_bytes()


def test_train_evaluate_report(
    out: Path, found: dict[str, Path], combined: Path, pair: Pair, schedule: Schedule, subset: Path, tmp_path: Path
) -> None:
    train.run(pair, schedule, Recipe(), subset=subset, out=out / "student")
    train.run(pair, schedule, parse_recipe(PRESET, "paper"), subset=subset, out=out / "distilled")
    inherited = json.loads((out / "distilled" / "inherited.json").read_text())
    assert all(name.startswith(("neck.", "bbox_head.")) for name in inherited["copied"])
    assert all(reason for _, reason in inherited["skipped"])

    students = {"student": out / "student", "distilled": out / "distilled"}
    evaluate.run(pair.teacher_config, pair.teacher_checkpoint, students, subset=subset, batch_size=0, out=out / "evaluation")
    analysis, _ = evaluate.read(out / "evaluation")
    assert list(analysis.detectors) == ["teacher", "student", "distilled"]
    assert analysis.images == 4

    result = report.run(
        "tiny",
        str(tmp_path / "runs"),
        subset=subset,
        studies=[*found.values(), combined],
        model=out / "distilled",
        evaluation=out / "evaluation",
    )
    assert PRESET in result.page.replace("&gt;", ">")
    assert "<script src" not in result.page  # the page needs nothing from elsewhere
    name, place = published.fetch("latest", str(tmp_path / "runs"), tmp_path / "pulled")
    assert name == "tiny"
    ours = torch.load(out / "distilled" / "student.pth", weights_only=True)["state_dict"]
    theirs = torch.load(place / "student.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_training_that_ends_again_gives_the_same_student(pair: Pair, schedule: Schedule, subset: Path, tmp_path: Path) -> None:
    recipe = parse_recipe(PRESET, "paper")
    states = []
    for name in ("one", "two"):
        train.run(pair, schedule, recipe, subset=subset, out=tmp_path / name)
        states.append(torch.load(tmp_path / name / "student.pth", weights_only=True)["state_dict"])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_search_that_found_no_distillation_has_two_trainings_with_titles_of_their_own(
    pair: Pair, schedule: Schedule, subset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(RUN, "plain")
    monkeypatch.setenv("DETKDS_HOME", str(tmp_path))
    train.run(pair, schedule, Recipe(), subset=subset, out=tmp_path / "student")
    assert "train distilled" not in capsys.readouterr().out
    train.run(pair, schedule, Recipe(), subset=subset, out=tmp_path / "distilled", found=True)
    said = capsys.readouterr().out
    assert "[train distilled] the recipe found is no distillation" in said
    assert "train baseline" not in said
    seen = RunProgress.read(FolderStore(tmp_path / "work"), "plain").tasks
    assert [seen[title].finished for title in ("train baseline", "train distilled")] == [True, True]
    one, two = (torch.load(tmp_path / name / "student.pth", weights_only=True)["state_dict"] for name in ("student", "distilled"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_where_no_loss_was_found_neither_torch_nor_workers_start(found: dict[str, Path], pair: Pair, subset: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from multiprocessing import forkserver
from pathlib import Path
from detkds.pipeline import weights
from detkds.pipeline.settings import Pair, Schedule, WeightsPlan

places = {{"subset": Path({str(subset)!r}), "out": Path("weights"), "recipe_out": Path("recipe")}}
weights.run([Path({str(found["instance"])!r})], {pair!r}, WeightsPlan(2, 1), Schedule(1), workers=2, **places)
assert "torch" not in sys.modules
assert forkserver._forkserver._forkserver_pid is None
"""
    environment = {**os.environ, "DETKDS_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=120)
    assert (tmp_path / "recipe" / "recipe.txt").read_text() == "no distillation\n"


def test_an_altered_artifact_is_refused_by_name(found: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "study"
    shutil.copytree(found["global"], broken)
    (broken / "recipe.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"recipe\.json"):
        recipe_of(broken)


def test_a_run_that_nobody_published_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no run was published here yet"):
        published.fetch("latest", str(tmp_path), tmp_path / "out")
    with pytest.raises(ArtifactError, match="no run 'mine' was published here; there are: none"):
        published.fetch("mine", str(tmp_path), tmp_path / "out")


def test_warm_starts_are_the_genomes_of_the_presets(plan: SearchPlan) -> None:
    warm = evolve.warm_start(replace(plan, warm_start="pkd x 20, detkds-one-stage,released-gfl"), Knowledge.GLOBAL)
    assert list(map(str, warm)) == [
        "global: none > none > norm_batch | l2 x 20",
        "global: catt > scale_2 > norm_N | l1 x 1",  # and none of released-gfl, whose semantics is another
    ]


def test_plans_that_cannot_be(pair: Pair, plan: SearchPlan, schedule: Schedule, subset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown search algorithm 'annealing'"):
        evolve.run("global", pair, replace(plan, algorithm="annealing"), schedule, searched="global", subset=subset, out=tmp_path / "a")
    with pytest.raises(ConfigError, match="needs a checkpoint, got none"):
        evolve.run("global", replace(pair, teacher_checkpoint=""), plan, schedule, searched="global", subset=subset, out=tmp_path / "b")
    assert parse_recipe(" pkd x 20 ", "released").weights == {Knowledge.GLOBAL: 20}
    with pytest.raises(GenomeError, match="did you mean catt"):
        parse_recipe("global: cat > none > none | l2", "paper")
    assert verify(subset)
