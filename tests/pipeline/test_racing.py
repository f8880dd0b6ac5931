"""Rungs through the pipeline: settings, several processes, seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from detkds.genome import Knowledge, Recipe
from detkds.objective import Answer, Forecast, Goal, Job, Outcome, Rung, together
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.run_config import Search
from detkds.pipeline.settings import Pair, Schedule, SearchPlan, WeightsPlan
from detkds.pipeline.values import Values
from detkds.pipeline.workers import hired
from detkds.search import Evolution, Journal, SearchSettings, SearchSpace, Study, TrialState, run
from detkds.search.repeated import Repeated
from detkds.search.rungs import SHARES, Rungs
from detkds.testing.designer import structured

PLAN = SearchPlan("paper", "paper", "evolution", 4, 2, 0.9, 2)
PKD = Recipe.parse("global: none > none > norm_batch | l2")
BEHIND = Rung(SHARES[0], Forecast(count=8, early=0.0, late=0.1, slope=0.5, deviation=0.0, spread=0.1, quantile=2.0), floor=0.9)


class Climbing:
    """At a rung a candidate has half of its final score."""

    def together(self, jobs: Sequence[Job]) -> list[Answer]:
        return [self(*job) for job in jobs]

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        score = structured(recipe) or 0.0
        rungs = {str(rung.share): score / 2 for rung in goal.rungs}
        for rung in goal.rungs:
            if rung.forecast is not None and rung.behind(score / 2):
                return Outcome(rung.forecast.expected(score / 2), 1, left=str(rung.share), rungs={str(rung.share): score / 2}, seconds=1)
        return Outcome(score, 4, rungs=rungs, seconds=2)


def study(folder: Path, workers: int, cohort: int) -> Study:
    designer = Rungs(Evolution(SearchSpace.preset(), Knowledge.GLOBAL, SearchSettings(8, 8, 0.9, 2), seed=0))
    with hired(workers, Climbing, cohort) as crew, Journal(folder / "journal.jsonl", {}) as journal:
        return run(designer, crew, journal, identify=lambda recipe: recipe.digest, ahead=crew.ahead)


def test_one_and_two_workers_and_any_cohort_write_one_journal(tmp_path: Path) -> None:
    found = {place: study(tmp_path / str(place), *place) for place in ((1, 1), (1, 8), (2, 8))}
    assert any(trial.state is TrialState.LEFT for trial in found[1, 1].trials)
    assert len({(tmp_path / str(place) / "journal.jsonl").read_bytes() for place in found}) == 1


def test_rungs_are_part_of_a_study_and_off_unless_given() -> None:
    assert not Search().rungs
    assert "rungs" not in PLAN.identity  # journals of searches before there were rungs stay theirs
    assert SearchPlan("paper", "paper", "evolution", 4, 2, 0.9, 2, rungs=True).identity == {**PLAN.identity, "rungs": True}
    assert WeightsPlan(4, 2, rungs=True).identity == {**WeightsPlan(4, 2).identity, "rungs": True}


def test_a_run_hands_rungs_to_both_searches_and_to_no_other_stage() -> None:
    values = Values(rungs=True)
    assert values.search_plan.rungs
    assert values.weights_plan.rungs
    assert [stage for stage in ("subset", "evolve", "weights", "train", "evaluate", "report") if "rungs" in values.of_stage(stage)] == [
        "evolve",
        "weights",
    ]


@pytest.mark.parametrize("algorithm", ["tpe", "mcts"])
def test_rungs_are_refused_where_every_score_is_needed(algorithm: str) -> None:
    with pytest.raises(ValueError, match=f"with `algorithm: {algorithm}` no score may be missing"):
        Search(algorithm=algorithm, rungs=True)  # type: ignore[arg-type]


def test_with_repeats_the_first_training_has_the_rungs() -> None:
    asked: list[Goal] = []

    class Seed(Climbing):
        def together(self, jobs: Sequence[Job]) -> list[Answer]:
            asked.extend(goal for _, goal in jobs)
            return super().together(jobs)

    repeated = Repeated([Seed(), Seed()])
    scored = Goal(rungs=(Rung(SHARES[0]),))
    whole, left = together(repeated, [(PKD, scored), (PKD, Goal(floor=0.1, rungs=(BEHIND,)))])
    assert asked == [scored, Goal(floor=0.1, rungs=(BEHIND,)), Goal()]
    assert isinstance(whole, Outcome)
    assert whole.rungs == {"1/4": whole.score / 2}
    assert whole.student_steps == 8
    assert isinstance(left, Outcome)
    assert (left.left, left.student_steps) == ("1/4", 1)


def test_without_early_stop_a_candidate_still_leaves_and_no_distillation_never(pair: Pair, schedule: Schedule, subset: Path) -> None:
    proxy = Proxy(pair, schedule, subset, early_stop=False)
    left, without = proxy.together([(PKD, Goal(floor=0.9, rungs=(BEHIND,))), (Recipe(), Goal(floor=0.9, rungs=(BEHIND,)))])
    assert isinstance(left, Outcome)
    assert left.left == "1/4"
    assert isinstance(without, Outcome)
    assert (without.left, dict(without.rungs), without.partial) == ("", {}, False)
