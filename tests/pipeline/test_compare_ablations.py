"""What an ablation trains, on an objective that costs nothing."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from detkds.errors import ConfigError, Rejected
from detkds.experiments.ablate import _unused
from detkds.experiments.ablations import Ablations, Findings
from detkds.experiments.fidelity import unused
from detkds.experiments.prepared_run import Effort, PreparedRun
from detkds.genome import Knowledge, Recipe
from detkds.genome.presets import preset
from detkds.pipeline.run_config import Search
from detkds.pipeline.settings import SearchPlan
from detkds.pipeline.values import Values
from detkds.search import Goal, Outcome

CLASSES = "the student distinguishes 2 classes, the teacher 5"
RESPONSES = {Knowledge.LOGITS: CLASSES, Knowledge.LOCALIZATION: CLASSES}


class Fake:
    """Scores by digest, features only: what reads a head is rejected."""

    identity: dict[str, Any] = {"fake": True}  # noqa: RUF012  as of a proxy

    def identify(self, recipe: Recipe) -> str:
        return recipe.digest

    def __call__(self, recipe: Recipe, goal: Goal) -> Outcome:
        if recipe.needs_responses:
            raise Rejected("nan", "the loss", 3)
        return Outcome(int(recipe.digest[:6], 16) % 997 / 1000 if recipe.active else 0.1, 10)


def ablations(folder: Path, searched: str = "global,logits", missing: dict[Knowledge, str] | None = None) -> Ablations:
    plan = SearchPlan("paper", "paper", "evolution", population=4, iterations=3, sample_ratio=0.9, top_k=2)
    values = {**asdict(plan), "run_name": "tiny", "inherit": True, "seed": 5, "searched": searched}
    values |= {"weights_population": 2, "weights_iterations": 1}
    trainings: Any = SimpleNamespace(unsupported=lambda: missing or {})
    return Ablations(PreparedRun(values, folder, folder, Console(quiet=True), lambda line: None), trainings, Effort(seeds=2))


def rows(found: Findings) -> dict[str, list[int]]:
    """Seeds by the name of the row."""
    made: dict[str, list[int]] = {}
    for entry in found.entries:
        made.setdefault(entry.name, []).append(entry.seed)
    return made


def test_each_loss_of_a_recipe_is_a_row_with_every_seed(tmp_path: Path) -> None:
    found = ablations(tmp_path).losses_of(preset("released-faster-rcnn"))
    assert rows(found) == {name: [5, 6] for name in ("global", "fgbg", "instance", "logits", "all")}
    assert [str(entry.recipe) for entry in found.entries[:1]] == ["global: catt > scale_2 > norm_N | l1 x 2"]
    assert all(entry.inherit and entry.recipe.semantics == "released" for entry in found.entries)


def test_several_losses_of_one_knowledge_are_told_apart(tmp_path: Path) -> None:
    found = ablations(tmp_path).losses_of(preset("fgd"))
    assert set(rows(found)) == {"global smap", "global cmap", "global gcblock", "fgbg", "all"}
    assert len({entry.recipe for entry in found.entries}) == 5


def test_a_recipe_of_one_loss_has_no_row_for_all(tmp_path: Path) -> None:
    assert list(rows(ablations(tmp_path).losses_of(preset("pkd")))) == ["global"]


def test_losses_that_the_pair_cannot_share_are_left_out_with_the_reason(tmp_path: Path) -> None:
    lab = ablations(tmp_path, missing=RESPONSES)
    found = lab.losses_of(preset("detkds-one-stage"))
    assert list(rows(found)) == ["global", "fgbg", "instance", "all"]
    assert found.left_out == {"logits": CLASSES, "localization": CLASSES}
    with pytest.raises(ConfigError, match=f"logits: {CLASSES}"):  # FRS weighs features by the teacher's scores: they read its head too
        lab.losses_of(preset("frs"))
    with pytest.raises(ConfigError, match="but it has none; give another"):
        lab.losses_of(Recipe())


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETKDS_HOME", str(tmp_path))
    monkeypatch.setenv("DETKDS_RUN", "")
    monkeypatch.setattr(Ablations, "_proxies", lambda self, seed: lambda loss_filter: Fake())


@pytest.mark.usefixtures("fake")
def test_single_losses_are_those_that_one_search_found(tmp_path: Path) -> None:
    """All logits are rejected, and said to be."""
    found = ablations(tmp_path).single_losses()
    assert rows(found) == {"global": [5, 6], "all": [5, 6]}
    ((name, seed, searched),) = found.searches
    assert (name, seed) == ("search", 5)
    assert found.entries[-1].recipe == searched.recipe
    assert found.left_out == {"logits": "no candidate could be trained"}


@pytest.mark.usefixtures("fake")
def test_knowledges_that_the_pair_cannot_share_are_not_searched(tmp_path: Path) -> None:
    found = ablations(tmp_path, missing=RESPONSES).iterations([0, 2])
    assert rows(found) == {"T=0": [5, 6], "T=2": [5, 6]}
    assert found.left_out == {"logits": CLASSES}
    with pytest.raises(ConfigError, match=rf"search\.knowledge must name one that this pair can share, but logits: {CLASSES}"):
        ablations(tmp_path, "logits", RESPONSES).algorithms(["random"])


FURTHER: dict[str, Any] = {
    "space": "extended", "weights_are": "calibrated", "warm_start": "pkd", "repeats": 3, "cohort": 2, "unlabelled_search": True,
    "proxy_epochs": 4, "batch_size": 6, "learning_rate": 0.5, "amp": "bf16", "channels_last": True, "unlabelled_share": 0.5,
    "unlabelled_knowledge": "global", "unlabelled_schedule": "ramp", "unlabelled_min_score": 0.4,
    "compiled": True, "rungs": True, "early_stop": True, "iterations_at_once": 4,
    "score": "loss",
}  # fmt: skip
"""Values of a run other than the usual."""


def test_an_ablation_searches_as_the_run_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever `detkds run` hands to its searches, except rungs, validations that stop early and several iterations at once: searches
    compare at full cost, and ask as the paper's does."""
    made = ablations(tmp_path)
    made.prepared_run.values.update(FURTHER)
    told = Values.read(made.prepared_run.values)
    search = made._variant_search(7)
    assert search.plan == replace(told.search_plan, early_stop=False, rungs=False, iterations_at_once=1)
    assert search.weights == replace(told.weights_plan, early_stop=False, rungs=False, iterations_at_once=1)
    assert (search.plan.space, search.plan.cohort, search.weights.repeats) == ("extended", 2, 3)
    asked: list[Any] = []
    monkeypatch.setattr("detkds.experiments.searches.Remembering", lambda *given, **options: asked.append((given, options)))
    made._proxies(7)(False)
    ((pair, schedule, subset), options) = asked[0]
    assert (pair, subset) == (told.pair, tmp_path)
    assert schedule == replace(told.proxy, seed=7)
    assert not schedule.compiled  # only the full training is
    assert options == {"early_stop": False, "score": "loss", "repeats": 3, "loss_filter": False}


def test_a_comparison_trains_as_the_run_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ablations(tmp_path).prepared_run
    made.values.update(FURTHER, loggers="mlflow", epochs=9)
    asked: list[Any] = []
    monkeypatch.setattr("detkds.experiments.trainings.Trainings", lambda *given: asked.append(given))
    told = Values.read(made.values)
    made.trainings(Effort())
    made.trainings(Effort(epochs=2))
    assert asked[0] == (told.pair, told.training, tmp_path, ("mlflow",))
    assert asked[0][1].compiled
    assert asked[1] == (told.pair, replace(told.training, epochs=2), tmp_path, ("mlflow",))


def test_what_an_ablation_does_not_use_is_said() -> None:
    search = Search(rungs=True, warm_start=("pkd",), iterations_at_once=4)
    rungs, at_once, starts = _unused(search, "algorithms", ())
    assert rungs.startswith("search.rungs is not used: ")
    assert at_once.startswith("search.iterations_at_once is not used: ")
    assert starts.startswith("search.warm_start is not used by no-divide")
    assert list(_unused(search, "algorithms", ("mcts",))) == list(_unused(search, "iterations", ())) == [rungs, at_once]
    assert list(_unused(Search(), "algorithms", ())) == []
    race, algorithm = _unused(Search(final_race={"seeds": 2}, algorithm="mcts"), "algorithms", ())
    assert race.startswith("search.final_race is not used: ")
    assert algorithm.startswith("search.algorithm is not used: each row of the table is an algorithm of its own")
    assert list(_unused(Search(algorithm="mcts"), "iterations", ())) == []


def test_what_a_sample_of_genomes_does_not_use_is_said() -> None:
    rungs, others = unused(Search(rungs=True, population=9, top_k=2, warm_start=("pkd",), proxy_epochs=3, repeats=2))
    assert rungs.startswith("search.rungs is not used: every candidate is trained to the end")
    assert others.startswith("search.population, search.top_k, search.warm_start are not used: the candidates are random genomes")
    assert [line.partition(" not")[0] for line in unused(Search(budget="quick"))] == ["search.budget is"]
    assert list(unused(Search(proxy_epochs=3, repeats=2, early_stop=False))) == []
