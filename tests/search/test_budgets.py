"""Budgets as people say them: what is planned costs no more, and what cannot be planned is said in one line."""

from __future__ import annotations

import pytest

from detkds.errors import ConfigError
from detkds.search.budgets import FORMS, Plan, is_time, least, plan


@pytest.mark.parametrize("knowledges", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("trainings", [40, 60, 79, 80, 149, 150, 200, 399, 1000])
def test_a_plan_spends_its_budget_and_no_more(trainings: int, knowledges: int) -> None:
    assert plan(f"{trainings} trainings", knowledges).trainings(knowledges) == trainings


def test_sixty_trainings_of_three_knowledges_by_hand() -> None:
    """The race: 5 known distillers, 2 seeds of (none + 2 known + 2 found), twice as long: 5 + 2 x 2 x 5 = 25. No distillation: 1.
    34 are left: 6 for the weights, 28 // 3 = 9 a knowledge: 3 at first, then 3 iterations of 2. 34 - 27 = 7 are weights: the
    3 alone are known, 2 combinations at first, 5 iterations."""
    found = plan("60 trainings", 3)
    assert found == Plan(3, 3, 1, 5, 5, 2, 2)
    assert found.settings() == {
        "population": 3,
        "iterations": 3,
        "top_k": 1,
        "weights": {"population": 5, "iterations": 5},
        "final_race": {"candidates": 2, "seeds": 2},
    }


def test_a_time_is_as_many_trainings_as_fit() -> None:
    assert plan("30 min", 3, training_s=30) == plan("60 trainings", 3)
    assert plan("2 h", 3, training_s=60) == plan("2 GPU-hours", 3, training_s=60) == plan("120 trainings", 3)
    assert plan("1.5 h", 3, training_s=60) == plan("90 trainings", 3)


def test_a_time_without_a_pace_is_refused() -> None:
    assert is_time("30 min")
    assert not is_time("60 trainings")
    assert not is_time("quick")
    with pytest.raises(ConfigError, match="how long a training takes is known where it runs; give trainings instead"):
        plan("30 min", 3)


@pytest.mark.parametrize("text", ["", "30", "30 minutes long", "-5 trainings", "60 Trainings", "min 30", "two h"])
def test_another_form_is_refused_with_all_forms(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(text, 3)
    assert FORMS in str(caught.value)


def test_less_than_the_least_search_is_refused_with_what_it_needs() -> None:
    assert plan(f"{least(5)} trainings", 5).trainings(5) == least(5)
    with pytest.raises(ConfigError, match=rf"less than the least search of 5 knowledges, {least(5)} trainings; give more, or"):
        plan(f"{least(5) - 1} trainings", 5)
    with pytest.raises(ConfigError, match=r"10 min, at 60.0 s a training 10 trainings, is less than"):
        plan("10 min", 5, training_s=60)


def test_words_are_plans_and_the_papers_are_literal() -> None:
    assert plan("quick", 5).trainings(5) == 60
    for word, iterations in (("paper-20", 20), ("paper-40", 40)):
        found = plan(word, 5)
        assert (found.population, found.iterations, found.top_k) == (20, iterations, 5)
        assert (found.weights_population, found.weights_iterations) == (10, 40)
