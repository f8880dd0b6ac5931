"""`detkds compare`, `ablate` and `fidelity` on pictures of 64 pixels, with the folder store."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import tiny_run
import yaml
from rich.console import Console

from detkds.errors import ConfigError
from detkds.experiments.ablate import ablate
from detkds.experiments.compare import compare
from detkds.experiments.fidelity import fidelity
from detkds.experiments.prepared_run import Effort
from detkds.pipeline.run import Run
from detkds.pipeline.settings import Pair
from detkds.search.trial import Trial, TrialState

SEARCH = {**tiny_run.SEARCH, "weights": {"population": 1, "iterations": 0}}


@pytest.fixture
def run_yaml(pair: Pair, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)
    content = tiny_run.content(pictures, pair, search=SEARCH, train={"epochs": 1, "batch_size": 4}, seed=5)
    return tiny_run.written(tmp_path / "run.yaml", content)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_compare_writes_a_table_and_goes_on_from_what_it_has(run_yaml: Path, home: Path, console: Console, tmp_path: Path) -> None:
    out = tmp_path / "out"
    compare(run_yaml, ["none", "pkd x 2"], Effort(seeds=1), home=home, trust=False, console=console, out=out)
    data = json.loads((out / "compare.json").read_text())
    assert [(row["name"], list(row["kinds"]["bbox"]["seeds"])) for row in data["recipes"]] == [("none", ["5"]), ("pkd x 2", ["5"])]
    assert data["recipes"][1]["recipes"]["5"].endswith("l2 x 2")
    assert "| pkd x 2 |" in (out / "compare.md").read_text()
    assert "compare               2/2  pkd x 2, seed 5: AP" in printed(console)
    compare(run_yaml, ["pkd x 2", "none"], Effort(seeds=1), home=home, trust=False, console=console, out=out)
    assert "compare               2/2  trained before" in printed(console)
    again = json.loads((out / "compare.json").read_text())
    assert again["recipes"] == data["recipes"][::-1]


def test_ablate_searches_and_trains_what_was_found(run_yaml: Path, home: Path, console: Console, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ablate(run_yaml, "algorithms", Effort(seeds=1), only=["random"], home=home, trust=False, console=console, out=out)
    (found,) = json.loads((out / "searches.json").read_text())["searches"]
    assert (found["name"], found["seed"]) == ("random", 5)
    rows = json.loads((out / "compare.json").read_text())["recipes"]
    assert [row["name"] for row in rows] == ["none", "inherit", "random"]
    assert rows[2]["recipes"] == {"5": found["recipe"]}
    assert "| random, 5 |" in (out / "searches.md").read_text()
    assert "random 5              random global: 1/2" in printed(console)


def test_a_single_loss_is_searched_and_trained_alone(run_yaml: Path, home: Path, console: Console, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ablate(run_yaml, "single-losses", Effort(seeds=1), home=home, trust=False, console=console, out=out)
    (found,) = json.loads((out / "searches.json").read_text())["searches"]
    rows = json.loads((out / "compare.json").read_text())["recipes"]
    assert [row["name"] for row in rows] == ["none", "inherit", "global", "all"]
    assert rows[2]["recipes"]["5"].startswith("global: ")
    assert rows[3]["recipes"] == {"5": found["recipe"]}
    text = printed(console)
    assert text.index("the searches, means over seeds") < text.index("paired differences") < text.index(f"written to {out}")
    assert f"all: {found['recipe']}, inheriting" in text


def test_fidelity_pairs_every_genome_with_its_full_training(
    run_yaml: Path, home: Path, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The full trainings are made up: .1, .2, .3 in the order of the genomes."""

    def train(made: Any, trainings: Any, entries: list[Any], effort: Effort) -> dict[str, Trial]:
        assert {entry.seed for entry in entries} == {5}
        return {entry.id: Trial(place, entry.recipe, TrialState.COMPLETE, (place + 1) / 10) for place, entry in enumerate(entries)}

    monkeypatch.setattr("detkds.experiments.fidelity.train", train)
    monkeypatch.setattr("detkds.pipeline.pace.training_s", lambda *how: pytest.fail("no search is planned, so no pace is measured"))
    content = yaml.safe_load(run_yaml.read_text())
    numbers = ("population", "iterations", "top_k", "weights")
    content["search"] = {"budget": "1 min", **{key: value for key, value in content["search"].items() if key not in numbers}}
    tiny_run.written(run_yaml, content)
    out = tmp_path / "out"
    fidelity(run_yaml, 3, Effort(1), home=home, trust=False, console=console, out=out)
    data = json.loads((out / "fidelity.json").read_text())
    assert data["candidates"] == 3
    assert [pair["longer"] for pair in data["pairs"]] == [0.1, 0.2, 0.3]
    assert all(pair["candidate"].startswith("global: ") for pair in data["pairs"])
    assert "3 genomes, 1 against 1 epochs" in printed(console)
    assert "search.budget is not used: the candidates are random genomes" in " ".join(printed(console).split())


def test_words_that_are_no_ablation_are_refused(run_yaml: Path, home: Path, console: Console, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of single-losses, algorithms, iterations, got 'losses'"):
        ablate(run_yaml, "losses", Effort(), home=home, trust=False, console=console, out=tmp_path)
    with pytest.raises(ConfigError, match="unknown variant 'evolutoin'"):
        ablate(run_yaml, "algorithms", Effort(), only=["evolutoin"], home=home, trust=False, console=console, out=tmp_path)
    with pytest.raises(ConfigError, match="--recipe belongs to single-losses, got algorithms"):
        ablate(run_yaml, "algorithms", Effort(), recipe="pkd", home=home, trust=False, console=console, out=tmp_path)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("pkdd x 2", r"did you mean pkd\?"),
        ("yesterday", "'yesterday' is neither a preset .* nor a file, nor a run: no run 'yesterday' was published here; there are: none"),
    ],
)
def test_a_wrong_recipe_is_refused_before_anything_is_made_ready(
    run_yaml: Path, home: Path, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, message: str
) -> None:
    monkeypatch.setattr(Run, "values", property(lambda run: pytest.fail("the teacher would be trained")))
    home = tmp_path / "home"  # as on a machine where nothing was ever published
    with pytest.raises(ConfigError, match=message):
        compare(run_yaml, ["none", recipe], Effort(), home=home, trust=False, console=console, out=tmp_path)
    with pytest.raises(ConfigError, match=message):
        ablate(run_yaml, "single-losses", Effort(), recipe=recipe, home=home, trust=False, console=console, out=tmp_path)
