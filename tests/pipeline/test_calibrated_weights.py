"""Calibrated weights from the search to the trained student: one number, written down once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from detkds.detectors.objective import ProxyObjective
from detkds.genome import Recipe
from detkds.pipeline import evolve, studies, train, weights
from detkds.pipeline.recipes import parse_recipe, recipe_of
from detkds.pipeline.settings import Pair, RacePlan, Schedule, SearchPlan, WeightsPlan
from detkds.pipeline.task import JOURNAL


@pytest.fixture(scope="module")
def calibrated(plan: SearchPlan) -> SearchPlan:
    return replace(plan, weights_are="calibrated", warm_start="pkd x 20")


@pytest.fixture(scope="module")
def study(
    calibrated: SearchPlan, pair: Pair, schedule: Schedule, subset: Path, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("artifacts") / "global"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKDS_HOME", str(home))
        evolve.run("global", pair, calibrated, schedule, searched="global", subset=subset, out=out)
    return out


def test_every_candidate_of_the_journal_has_its_unit(study: Path) -> None:
    _, history, _ = studies.read(study)
    assert history is not None
    genomes = [genome for trial in history.trials.values() for genome in trial.recipe.genomes]
    assert len(genomes) == 4  # two of the first population, two of the iteration
    assert all(genome.unit != 1 for genome in genomes)
    warm = genomes[0]
    assert warm.factor == pytest.approx(20, rel=0.01)  # a warm start trains with its published weight


def test_the_recipe_goes_to_the_training_with_the_same_number(
    study: Path, pair: Pair, schedule: Schedule, subset: Path, tmp_path: Path
) -> None:
    places = {"subset": subset, "out": tmp_path / "weights", "recipe_out": tmp_path / "recipe"}
    weights.run([study], pair, WeightsPlan(2, 1), schedule, final=RacePlan(1, 2, 1, "pkd"), **places)
    _, history, _ = studies.read(study)
    _, combined, _ = studies.read(tmp_path / "weights")
    assert history is not None
    assert combined is not None
    (unit,) = {genome.unit for trial in combined.trials.values() for genome in trial.recipe.active}
    assert unit in {trial.recipe.genomes[0].unit for trial in history.trials.values() if trial.number}
    assert any(trial.borrowed for trial in combined.trials.values() if trial.number)  # the winner of the study answers
    rows = json.loads((tmp_path / "weights" / "leaderboard.json").read_text())["rows"]
    assert any(f" unit {unit:g}" in row["recipe"] for row in rows)

    found = recipe_of(study)
    train.run(pair, schedule, found, subset=subset, out=tmp_path / "model")
    text = (tmp_path / "model" / "recipe.json").read_text()
    assert Recipe.from_json(json.loads(text)) == found == parse_recipe(str(found), "paper")
    assert found.genomes[0].unit == unit


def test_a_resumed_search_measures_no_unit_again(
    study: Path,
    calibrated: SearchPlan,
    pair: Pair,
    schedule: Schedule,
    subset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[object] = []
    unit = ProxyObjective.unit

    def once(self: ProxyObjective, *asked: object) -> float:
        measured.append(asked[0])
        return unit(self, *asked)  # type: ignore[arg-type]

    monkeypatch.setattr(ProxyObjective, "unit", once)
    evolve.run("global", pair, calibrated, schedule, searched="global", subset=subset, out=tmp_path / "again")
    assert len(measured) == 1  # the warm start's share comes before the journal
    assert (tmp_path / "again" / JOURNAL).read_bytes() == (study / JOURNAL).read_bytes()
