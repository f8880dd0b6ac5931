"""What an ablation trains, on an objective that costs nothing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from detkds.errors import ConfigError, Rejected
from detkds.experiments.ablations import Ablations, Findings
from detkds.experiments.prepared_run import Effort, PreparedRun
from detkds.genome import Knowledge, Recipe
from detkds.genome.presets import preset
from detkds.pipeline.settings import SearchPlan
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
