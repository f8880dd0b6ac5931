"""`detkds.study`: a search with a plain function as its objective."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from detkds.errors import ArtifactError, ConfigError, GenomeError, Rejected
from detkds.genome import Recipe
from detkds.search import Study, Trial, TrialState, study

SMALL: dict[str, Any] = {"population": 4, "iterations": 3, "top_k": 2}


def weight(recipe: Recipe) -> float:
    """The score is the weight, so the best candidates are those of weight 10."""
    return sum(genome.weight for genome in recipe.genomes) / 100


def test_every_candidate_is_asked_once_and_no_distillation_first() -> None:
    asked: list[Recipe] = []

    def objective(recipe: Recipe) -> float:
        asked.append(recipe)
        return weight(recipe)

    found = study("global", objective, **SMALL)
    assert (found.name, len(found.trials)) == ("global", 1 + 4 + 2 * 3)
    assert asked[0] == Recipe()
    assert len({recipe.digest for recipe in asked}) == len(asked) == len(found.trials)
    assert found.best == found.best_distilled
    assert found.best is not None
    assert found.best.score == max(trial.score or 0 for trial in found.trials)


def test_where_no_loss_helps_the_best_is_no_distillation_and_the_best_distilled_is_not() -> None:
    found = study("logits", lambda recipe: -weight(recipe), **SMALL)
    assert found.best is not None
    assert found.best_distilled is not None
    assert (found.best.number, found.best.score) == (0, 0.0)
    assert found.best_distilled.number > 0


@pytest.mark.parametrize("algorithm", ["evolution", "random", "mcts"])
def test_the_seed_decides_the_candidates(algorithm: str) -> None:
    runs = [study("instance", weight, algorithm=algorithm, seed=seed, **SMALL) for seed in (0, 0, 1)]
    first, again, other = ([trial.recipe for trial in one.trials] for one in runs)
    assert first == again != other


def test_an_interrupted_study_resumes_at_the_next_candidate(tmp_path: Path) -> None:
    whole = study("global", weight, journal=tmp_path / "whole.jsonl", **SMALL)
    asked: list[Recipe] = []

    def interrupted(recipe: Recipe) -> float:
        asked.append(recipe)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return weight(recipe)

    path = tmp_path / "parts" / "study.jsonl"
    path.parent.mkdir()
    with pytest.raises(KeyboardInterrupt):
        study("global", interrupted, journal=path, **SMALL)
    found = study("global", interrupted, journal=path, **SMALL)
    assert found.trials == whole.trials
    assert len(asked) == len(whole.trials) + 1  # only the interrupted candidate was asked twice
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_journal_of_other_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl"
    study("global", weight, journal=path, settings={"epochs": 1}, **SMALL)
    with pytest.raises(ArtifactError, match=r"belongs to another study: settings is .*'epochs': 1.* there and .*'epochs': 2"):
        study("global", weight, journal=path, settings={"epochs": 2}, **SMALL)


def test_a_rejected_candidate_is_recorded_and_the_search_continues() -> None:
    def objective(recipe: Recipe) -> float:
        if weight(recipe) > 0.04:
            raise Rejected("too-large", "the weight")
        return weight(recipe)

    found = study("fgbg", objective, **SMALL)
    assert found.rejected["too-large"] == sum(trial.state is TrialState.REJECTED for trial in found.trials) > 0
    assert all(trial.score is None for trial in found.trials if trial.state is TrialState.REJECTED)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("globe", weight), {}, ConfigError, "unknown knowledge 'globe': choose from global, fgbg, instance, logits, localization."),
        (("global", 0.5), {}, ConfigError, "the objective must be a function of a recipe that returns a score, got float."),
        (("global", lambda recipe: None), {}, ConfigError, "must return a number for every recipe, got NoneType for `no distillation`."),
        (("global", weight), {"algorithm": "bayes"}, ConfigError, "unknown search algorithm 'bayes': choose from evolution, random"),
        (("global", weight), {"top_k": 9, "population": 4}, ConfigError, "`top_k <= population` must hold, but got top_k=9"),
        (("global", weight), {"space": "huge"}, ConfigError, "unknown space 'huge'"),
        (("global", weight), {"warm_start": ["global: x > none > none | l2 x 1"]}, GenomeError, "x"),
        (("global", weight), {"settings": {"when": object()}}, ConfigError, "settings must be plain values, as JSON has them"),
    ],
)
def test_wrong_input_is_one_clear_error(arguments: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        study(*arguments, **options)


def test_the_table_has_a_row_for_each_trial_the_best_first() -> None:
    pandas = pytest.importorskip("pandas")
    found = study("global", weight, **SMALL)
    table = found.trials_table()
    assert isinstance(table, pandas.DataFrame)
    assert table["score"].tolist() == sorted((trial.score for trial in found.trials), reverse=True)
    assert found.best is not None
    assert (table.iloc[0]["number"], table.iloc[0]["candidate"]) == (found.best.number, str(found.best.recipe))


def test_rows_put_trials_without_a_score_last() -> None:
    trials = (
        Trial(0, Recipe(), TrialState.COMPLETE, 0.1),
        Trial(1, Recipe(), TrialState.REJECTED, reason="nan: the loss"),
        Trial(2, Recipe(), TrialState.COMPLETE, 0.3, details={"AP50": 0.5}),
    )
    rows = Study(trials, seconds={2: 1.5}).rows()
    assert [row["number"] for row in rows] == [2, 0, 1]
    assert (rows[0]["AP50"], rows[0]["seconds"], rows[2]["reason"]) == (0.5, 1.5, "nan: the loss")


def test_without_pandas_the_table_is_the_list_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    found = study("global", weight, **SMALL)
    assert found.trials_table() == found.rows()
