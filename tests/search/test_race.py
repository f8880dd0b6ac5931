"""The final race: who enters, who stays, who is chosen, with the arithmetic of small tables written out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from detkds.genome import Recipe
from detkds.search import Trial, TrialState
from detkds.search.race import BASELINE, Finalist, Ranked, finalists, leaderboard, remaining

A, B, C = (Recipe.parse(f"logits: none | {word}") for word in ("l1", "l2", "kl"))
RUNNERS = [Finalist(BASELINE, Recipe()), Finalist("a", A), Finalist("b", B)]


def trial(number: int, recipe: Recipe, score: float | None) -> Trial:
    if score is None:
        return Trial(number, recipe, TrialState.REJECTED, reason="nan: loss")
    return Trial(number, recipe, TrialState.COMPLETE, score=score)


def rounds(*scores: Sequence[float | None], runners: Sequence[Finalist] = RUNNERS) -> list[Mapping[str, Trial]]:
    """One row a seed, a score a runner."""
    return [
        {runner.recipe.digest: trial(place, runner.recipe, score) for place, (runner, score) in enumerate(zip(runners, row, strict=True))}
        for row in scores
    ]


def by_name(table: Sequence[Ranked]) -> dict[str, Ranked]:
    return {one.finalist.name: one for one in table}


def test_gains_and_intervals_by_hand() -> None:
    """In points. Gains of a over no distillation are 3, 4, 5, their mean is 4; of b 0, 2, 4, mean 2.

    Seeds have the means 31, 32, 33, finalists 30, 34, 32, all together 32. What a score differs from finalist + seed - 32:
    no distillation 1, 0, -1; a 0, 0, 0; b -1, 0, 1. The sum of squares is 4, with (3 - 1)(3 - 1) = 4 degrees of freedom: s² = 1.
    The difference of two means of three has the variance 2/3, and t at 95 % with 4 degrees is 2.1318: the interval reaches 1.7406.
    """
    table = by_name(leaderboard(RUNNERS, rounds((0.30, 0.33, 0.30), (0.30, 0.34, 0.32), (0.30, 0.35, 0.34))))
    assert table["a"].mean == pytest.approx(0.34)
    assert table["a"].gain == pytest.approx(0.04)
    assert table["a"].gain_low == pytest.approx(0.04 - 0.017406, abs=1e-6)
    assert table["a"].gain_high == pytest.approx(0.04 + 0.017406, abs=1e-6)
    assert table["b"].gain_low == pytest.approx(0.02 - 0.017406, abs=1e-6)
    assert table["a"].chosen
    assert not table["b"].chosen
    assert (table[BASELINE].gain, table[BASELINE].gain_low) == (0, 0)


def test_where_no_lower_bound_is_above_0_the_student_trains_without() -> None:
    table = leaderboard(RUNNERS, rounds((0.30, 0.36, 0.31), (0.31, 0.28, 0.30)))
    assert by_name(table)["a"].gain > 0 > by_name(table)["a"].bound
    assert table[0].finalist.name == BASELINE
    assert table[0].chosen


def test_the_leaderboard_begins_with_the_chosen_and_ends_with_the_rejected() -> None:
    runners = [*RUNNERS, Finalist("c", C)]
    table = leaderboard(runners, rounds((0.30, 0.34, 0.36, 0.50), (0.301, 0.341, 0.361, None), runners=runners))
    assert [one.finalist.name for one in table] == ["b", "a", BASELINE, "c"]
    assert table[-1].rejected == "nan: loss"
    assert math.isnan(table[-1].mean)
    assert [one.chosen for one in table] == [True, False, False, False]


def test_one_seed_knows_no_interval_and_chooses_nothing() -> None:
    table = leaderboard(RUNNERS, rounds((0.30, 0.34, 0.36)))
    assert math.isnan(by_name(table)["b"].gain_low)
    assert by_name(table)[BASELINE].chosen


def test_a_runner_that_is_behind_for_certain_leaves_and_the_baseline_stays() -> None:
    first = rounds((0.30, 0.36, 0.31), (0.31, 0.37, 0.32))
    assert [one.name for one in remaining(RUNNERS, [])] == [BASELINE, "a", "b"]
    assert [one.name for one in remaining(RUNNERS, first[:1])] == [BASELINE, "a", "b"]
    assert [one.name for one in remaining(RUNNERS, first)] == [BASELINE, "a"]


def test_who_left_stays_away_and_who_was_rejected_leaves_at_once() -> None:
    assert [one.name for one in remaining(RUNNERS, rounds((0.30, None, 0.31)))] == [BASELINE, "b"]
    first = rounds((0.30, 0.36, 0.31), (0.31, 0.37, 0.32))
    third = {runner.recipe.digest: trial(place, runner.recipe, 0.3) for place, runner in enumerate(RUNNERS[:2])}
    assert [one.name for one in remaining(RUNNERS, [*first, third])] == [BASELINE, "a"]


def test_a_mean_of_fewer_seeds_is_adjusted_for_the_seeds_it_lacks() -> None:
    """The third seed is 10 points better for all; b, which left, is not 10 points worse for it."""
    rows = rounds((0.30, 0.36, 0.31), (0.31, 0.37, 0.32))
    rows.append({runner.recipe.digest: trial(0, runner.recipe, score) for runner, score in zip(RUNNERS[:2], (0.40, 0.46), strict=True)})
    table = by_name(leaderboard(RUNNERS, rows))
    assert table["b"].gain == pytest.approx(0.01)
    assert len(table["b"].scores) == 2


def test_the_best_known_distillers_and_the_searchs_best_enter() -> None:
    known = {f"known {place}": Recipe.parse(f"global: none > none > none | l2 x {place}") for place in (1, 2, 3)}
    trials = [trial(0, Recipe(), 0.30)]
    trials += [trial(place, recipe, 0.30 + 0.01 * place) for place, recipe in enumerate(known.values(), 1)]
    trials += [trial(9, Recipe.parse(f"logits: none | {word}"), score) for word, score in (("l1", 0.35), ("l2", 0.40), ("kl", None))]
    found = finalists(trials, known, 1)
    assert found[0].name == BASELINE
    assert [one.name for one in found[1:3]] == ["known 3", "known 2"]
    assert [(one.name, str(one.recipe)) for one in found[3:]] == [("search 1", "logits: none | l2 x 1")]


def test_a_recipe_runs_once_and_keeps_the_name_people_know() -> None:
    known = {"fitnets": Recipe.parse("global: none > none > none | l2")}
    twin = Recipe.parse("global: none > none > none | l2\nlogits: none | l1 x 0")
    trials = [trial(0, Recipe(), 0.3), trial(1, known["fitnets"], 0.4), trial(2, twin, 0.4)]
    assert [one.name for one in finalists(trials, known, 4)] == [BASELINE, "fitnets"]
    assert len(finalists([*trials, trial(3, A, 0.4), trial(4, B, 0.4)], known, 4, lambda recipe: str(bool(recipe.active)))) == 2
