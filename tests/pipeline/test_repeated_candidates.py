"""The proxy with several seeds, for real."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from detkds.objective import Goal
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.recipes import parse_recipe
from detkds.pipeline.settings import Pair, Schedule


def test_a_repeated_candidate_is_the_mean_of_its_seeds(pair: Pair, schedule: Schedule, subset: Path) -> None:
    both = Proxy(pair, schedule, subset, early_stop=True, repeats=2)
    single = [Proxy(pair, replace(schedule, seed=seed), subset, early_stop=True) for seed in (0, 1)]
    for recipe in (parse_recipe("", "paper"), parse_recipe("global: none > none > norm_batch | l2 x 1", "paper")):
        losses = [proxy(recipe, Goal()).details["loss"] for proxy in single]
        outcome = both(recipe, Goal())
        assert losses[0] != losses[1]
        assert outcome.details["loss"] == pytest.approx(sum(losses) / 2)
        assert outcome.details["spread"] >= 0
        assert both.identify(recipe) != single[0].identify(recipe)
