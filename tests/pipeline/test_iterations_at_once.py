"""search.iterations_at_once on its way from run.yaml to both searches."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from detkds.genome import Knowledge
from detkds.pipeline.check import _idle_gpus
from detkds.pipeline.evolve import designer
from detkds.pipeline.run_config.search import Search
from detkds.pipeline.settings import SearchPlan, WeightsPlan
from detkds.pipeline.values import Values
from detkds.search import Trial, TrialState

PLAN = SearchPlan("paper", "paper", "evolution", 4, 6, 0.9, 2)


def test_a_run_hands_it_to_both_searches_and_to_no_other_stage() -> None:
    values = Values(iterations_at_once=3)
    assert (values.search_plan.iterations_at_once, values.weights_plan.iterations_at_once) == (3, 3)
    stages = ("check", "subset", "evolve", "weights", "train", "evaluate", "report")
    assert [stage for stage in stages if "iterations_at_once" in values.of_stage(stage)] == ["evolve", "weights"]


@pytest.mark.parametrize("algorithm", ["evolution", "random"])
def test_a_study_asks_as_many_pairs_at_a_time(algorithm: str) -> None:
    plan = SearchPlan("paper", "paper", algorithm, 4, 6, 0.9, 2, iterations_at_once=4)
    asking = designer(Knowledge.GLOBAL, plan, 0, None)  # type: ignore[arg-type]  # only calibrated weights need the proxy
    sizes = []
    while asked := asking.ask():
        asking.tell([Trial(0, recipe, TrialState.COMPLETE, 0.1) for recipe in asked])
        sizes.append(len(asked))
    assert sizes == [4, 8, 4]


def test_it_is_part_of_a_study_and_earlier_journals_stay_theirs() -> None:
    assert "iterations_at_once" not in PLAN.identity
    assert "iterations_at_once" not in WeightsPlan(4, 2).identity
    added = {"iterations_at_once": 2}
    assert replace(PLAN, iterations_at_once=2).identity == {**PLAN.identity, **added}
    assert WeightsPlan(4, 2, iterations_at_once=2).identity == {**WeightsPlan(4, 2).identity, **added}


@pytest.mark.parametrize("algorithm", ["tpe", "mcts"])
def test_it_is_refused_where_each_candidate_depends_on_the_one_before(algorithm: str) -> None:
    with pytest.raises(ValueError, match=f"`algorithm: {algorithm}` asks one candidate at a time"):
        Search(algorithm=algorithm, iterations_at_once=2)  # type: ignore[arg-type]
    assert Search(algorithm=algorithm).iterations_at_once == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("search", "gpus", "told"),
    [
        ({}, 0, ""),
        ({}, 2, ""),
        ({}, 8, "uses 2 of its 8 GPUs; with `iterations_at_once: 4` it would use more"),
        ({"nodes": 4}, 2, "uses 2 of its 8 GPUs"),
        ({"iterations_at_once": 4}, 8, ""),
        ({"iterations_at_once": 2, "algorithm": "random"}, 8, "uses 4 of its 8 GPUs"),
        ({"algorithm": "tpe"}, 1, ""),
        ({"algorithm": "tpe"}, 4, "uses 1 of its 4 GPUs; with `algorithm: evolution`"),
    ],
)
def test_gpus_without_candidates_are_named(search: dict[str, Any], gpus: int, told: str) -> None:
    config: Any = SimpleNamespace(search=Search(**search), resources=SimpleNamespace(gpus=gpus))
    found = _idle_gpus(config)
    assert told in found
    assert bool(told) == bool(found)
