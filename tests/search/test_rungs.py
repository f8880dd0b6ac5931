"""Rungs: when a candidate leaves its training, what its trial says, and that a study resumes exactly."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from pathlib import Path

import pytest

from detkds.errors import DetKDSError
from detkds.genome import Knowledge, Recipe
from detkds.objective import Forecast, Goal, Outcome, Rung
from detkds.search import Evolution, History, Journal, SearchSettings, SearchSpace, Study, Trial, TrialState, WeightSearch, run
from detkds.search.estimate import estimates
from detkds.search.race import finalists
from detkds.search.rungs import SHARES, WHOLE, Rungs, forecast
from detkds.testing.climbing import Climbing
from detkds.testing.designer import DesignerContract, structured

SETTINGS = SearchSettings(population=8, iterations=12, sample_ratio=0.9, top_k=2)
NAMES = [str(share) for share in SHARES]


def evolution() -> Evolution:
    return Evolution(SearchSpace.preset(), Knowledge.GLOBAL, SETTINGS, seed=0)


def study(folder: Path, objective: Climbing, designer: object = None) -> Study:
    with Journal(folder / "journal.jsonl", {"seed": 0}) as journal:
        return run(designer or Rungs(evolution()), objective, journal, identify=lambda recipe: recipe.digest)  # type: ignore[arg-type]


def test_a_forecast_is_the_line_with_its_prediction_interval() -> None:
    # early 0 .1 .2 .3 .4, late .1 .3 .4 .6 .6: means .2 and .4, spread .1, slope .13 / .1 = 1.3, residuals -.04 .03 0 .07 -.06,
    # their squares add up to .011, divided by 5 - 2 gives a variance of .0036667. Student's t: 95 in 100 are below 2.3534 with 3 degrees.
    found = forecast(list(zip((0.0, 0.1, 0.2, 0.3, 0.4), (0.1, 0.3, 0.4, 0.6, 0.6), strict=True)))
    assert found is not None
    assert (found.count, found.early, found.late) == (5, pytest.approx(0.2), pytest.approx(0.4))
    assert found.slope == pytest.approx(1.3)
    assert found.deviation**2 == pytest.approx(0.011 / 3)
    assert found.quantile == pytest.approx(2.353363, abs=1e-6)
    assert found.expected(0.1) == pytest.approx(0.27)
    error = math.sqrt(0.011 / 3 * (1 + 1 / 5 + 0.1**2 / 0.1))
    assert found.highest(0.1) == pytest.approx(0.27 + 2.353363 * error, abs=1e-6)
    assert (found.expected(-5), found.expected(5)) == (0, 1)  # an AP


def test_of_candidates_in_general_one_in_twenty_ends_above_its_highest_score() -> None:
    rng = random.Random(0)
    above = tried = 0
    while tried < 1500:
        pairs = [(x, 0.2 + 0.8 * x + rng.gauss(0, 0.03)) for x in (rng.gauss(0.2, 0.1) for _ in range(9))]
        if (found := forecast(pairs[:8])) is None:
            continue
        tried += 1
        above += pairs[8][1] > found.highest(pairs[8][0])
    assert 0.03 < above / tried < 0.07


@pytest.mark.parametrize(
    "pairs",
    [
        [(0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5)],  # four are too few
        [(0.1, 0.2), (0.2, 0.1), (0.3, 0.4), (0.4, 0.3), (0.5, 0.2), (0.6, 0.3)],  # τ = .29
        [(0.6, 0.1), (0.5, 0.2), (0.4, 0.3), (0.3, 0.4), (0.2, 0.5)],  # the opposite order
        [(0.0, 0.1), (0.0, 0.2), (0.0, 0.3), (0.0, 0.4), (0.0, 0.5)],  # nobody has a score yet
        [(0.1, 0.3), (0.2, 0.3), (0.3, 0.3), (0.4, 0.3), (0.5, 0.3)],
    ],
)
def test_a_rung_that_does_not_order_candidates_as_the_end_does_has_no_forecast(pairs: list[tuple[float, float]]) -> None:
    assert forecast(pairs) is None


def test_candidates_that_are_clearly_behind_leave_and_nobody_else(tmp_path: Path) -> None:
    objective = Climbing(noise=0.01)
    found = study(tmp_path, objective)
    left = [trial for trial in found.trials if trial.state is TrialState.LEFT]
    assert len(left) == found.counts.left == sum(found.left.values()) > 5
    assert not found.rejected
    population = SETTINGS.population
    whole = [[*range(1, population + 1)], *([population + 2 * step - 1, population + 2 * step] for step in range(WHOLE, 13, WHOLE))]
    for batch in whole:  # the first population, and each fourth request
        for number in batch:
            assert objective.goals[number].floor is None
            assert found.trials[number].state is TrialState.COMPLETE
            assert list(found.trials[number].rungs) == NAMES
    for trial in left:
        goal = objective.goals[trial.number]
        assert goal.floor is not None
        assert (structured(trial.recipe) or 0) < goal.floor  # with so little noise nobody is wronged
        assert trial.score is None
        assert str(trial.reason).startswith(f"left at {list(trial.rungs)[-1]}: ")
        assert trial.student_steps == 10 * len(trial.rungs)
        assert 0 <= trial.details["estimate"] < goal.floor


def test_the_winner_is_that_of_the_search_without_rungs_and_was_trained_to_the_end(tmp_path: Path) -> None:
    plain, raced = study(tmp_path / "plain", Climbing(0.01), evolution()), study(tmp_path / "raced", Climbing(0.01))
    assert plain.best is not None
    assert raced.best is not None
    assert raced.best.recipe == plain.best.recipe
    assert raced.best.state is TrialState.COMPLETE
    assert raced.counts.student_steps < plain.counts.student_steps


def test_a_rung_without_a_correlation_is_not_used(tmp_path: Path) -> None:
    objective = Climbing(noise=3.0)
    found = study(tmp_path, objective)
    assert {trial.state for trial in found.trials} == {TrialState.COMPLETE}
    asked = objective.goals[SETTINGS.population + 1]
    assert asked.floor is not None
    assert asked.rungs == ()  # nor is anyone scored there, which costs time


@pytest.mark.parametrize("dying", range(4, 32, 3))
def test_a_study_that_was_killed_resumes_exactly(tmp_path: Path, dying: int) -> None:
    whole = study(tmp_path / "whole", Climbing(0.01))
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path / "killed", Climbing(0.01, dying))
    assert study(tmp_path / "killed", Climbing(0.01)) == whole
    journals = [(tmp_path / name / "journal.jsonl").read_bytes() for name in ("whole", "killed")]
    assert journals[0] == journals[1]
    read = History.read(tmp_path / "whole" / "journal.jsonl")
    assert tuple(read.trials.values()) == whole.trials
    assert any(trial.state is TrialState.LEFT for trial in read.trials.values())


def test_what_left_in_another_study_answers_nobody(tmp_path: Path) -> None:
    first = study(tmp_path / "first", Climbing(0.01))
    known = History.read(tmp_path / "first" / "journal.jsonl").finished()
    with Journal(tmp_path / "second" / "journal.jsonl", {"seed": 0}) as journal:
        second = run(evolution(), Climbing(0.01), journal, identify=lambda recipe: recipe.digest, known=known)
    states = {trial.recipe: trial.state for trial in first.trials}
    asked = [trial for trial in second.trials if states.get(trial.recipe) is TrialState.LEFT]
    assert asked
    assert all(trial.answered_by is None and trial.score is not None for trial in asked)


def test_a_study_refuses_to_record_who_left_without_being_behind(tmp_path: Path) -> None:
    class Leaving(Climbing):
        def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
            return Outcome(0.1, left="1/4", rungs={"1/4": 0.9}) if goal.floor else super().__call__(recipe, goal)

    with pytest.raises(DetKDSError, match=r"trial 9 left at 1/4 .* which its goal does not allow"):
        study(tmp_path, Leaving(0.01))


def test_who_left_informs_the_estimates_and_does_not_run_in_the_race(tmp_path: Path) -> None:
    found = study(tmp_path, Climbing(0.01))
    left = {trial.recipe.digest for trial in found.trials if trial.state is TrialState.LEFT}
    assert left <= estimates(found.trials).keys()
    assert not left & {one.recipe.digest for one in finalists(found.trials, {}, 100)}
    whole = [trial for trial in found.trials if trial.state is TrialState.COMPLETE]
    best = found.best
    assert best is not None
    assert estimates(whole)[best.recipe.digest] != estimates(found.trials)[best.recipe.digest]


def test_a_rung_decides_by_the_upper_end_of_its_forecast() -> None:
    line = Forecast(count=8, early=0.2, late=0.4, slope=1.0, deviation=0.0, spread=0.1, quantile=2.0)
    rung = Rung(Fraction(1, 4), line, floor=0.3)
    assert rung.behind(0.09)
    assert not rung.behind(0.11)
    assert not Rung(Fraction(1, 4), None, 0.3).behind(0.0)


class TestRungs(DesignerContract):
    candidates = 6 + 2 * 5

    def make(self, seed: int = 0) -> Rungs:
        return Rungs(Evolution(SearchSpace.preset(), Knowledge.GLOBAL, SearchSettings(6, 5, 0.9, 3), seed))


def test_the_search_over_weights_has_rungs_too(tmp_path: Path) -> None:
    genomes = Recipe.parse("global: none > none > none | l2 x 5\nlogits: none | l1 x 5").genomes
    designer = Rungs(WeightSearch(genomes, SearchSpace.preset(), SETTINGS, seed=0))
    found = study(tmp_path, Climbing(0.005), designer)
    assert found.counts.left
    assert isinstance(found.best, Trial)
