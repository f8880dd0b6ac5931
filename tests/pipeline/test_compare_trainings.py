"""A trainings on pictures of 64 pixels: trial by trial, resumed, and concluded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detkds.errors import ArtifactError, Rejected
from detkds.experiments import training as training
from detkds.experiments import trainings as trainings
from detkds.experiments.comparison import Comparison, conclude
from detkds.experiments.training import Training, TrainingContext
from detkds.experiments.trainings import JOURNAL, Entry, Trainings
from detkds.genome import Recipe
from detkds.genome.presets import preset
from detkds.pipeline.settings import Pair, Schedule
from detkds.search.journal import read
from detkds.search.trial import Trial, TrialState

NONE, INHERIT = Entry("none", Recipe(), 0, False), Entry("inherit", Recipe(), 0, True)
PKD = Entry("pkd", preset("pkd"), 0, True)
ENTRIES = [NONE, INHERIT, PKD]
Fight = Callable[[TrainingContext, Training, Callable[[str], None]], Trial]


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of this module alone: trainings of other modules with the same pair and subset would be in the same journal."""
    return tmp_path_factory.mktemp("own_home")


@pytest.fixture(scope="module")
def held(pair: Pair, schedule: Schedule, subset: Path, own_home: Path) -> tuple[Trainings, dict[str, Trial], list[str]]:
    """Killed in its second training, then resumed."""
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKDS_HOME", str(own_home))
        made = Trainings(pair, schedule, subset)
        patch.setattr(trainings, "train_and_evaluate", _dying_in(2, training.train_and_evaluate))
        with pytest.raises(KeyboardInterrupt):
            made.run(ENTRIES, show=lines.append)
        patch.setattr(trainings, "train_and_evaluate", training.train_and_evaluate)
        again = Trainings(pair, schedule, subset)
        return again, again.run(ENTRIES, show=lines.append), lines


def _dying_in(number: int, train_and_evaluate: Fight) -> Fight:
    begun: list[Training] = []

    def dying(context: TrainingContext, one: Training, show: Callable[[str], None]) -> Trial:
        begun.append(one)
        if len(begun) == number:
            raise KeyboardInterrupt
        return train_and_evaluate(context, one, show)

    return dying


def test_a_killed_contest_goes_on_with_what_is_left(held: tuple[Trainings, dict[str, Trial], list[str]]) -> None:
    made, trials, lines = held
    assert set(trials) == {entry.id for entry in ENTRIES}
    kinds = [(record.kind, record.fields.get("number")) for record in read(made.folder / JOURNAL)]
    assert kinds == [("study", None), ("start", 0), ("end", 0), ("start", 1), ("end", 1), ("start", 2), ("end", 2)]
    assert "[compare] 1/3  trained before" in lines
    assert any(line.startswith("[compare] 2/3  inherit, seed 0: AP ") for line in lines)
    assert any(line.startswith("[compare] pkd, seed 0: step ") for line in lines)


def test_every_trial_has_a_model_and_detections(held: tuple[Trainings, dict[str, Trial], list[str]]) -> None:
    made, trials, _ = held
    for entry in ENTRIES:
        assert trials[entry.id].state is TrialState.COMPLETE
        assert trials[entry.id].student_steps == 6  # 12 pictures, 2 a batch
        assert (made.folder / entry.id[:16] / "model" / "student.pth").is_file()
        assert isinstance(made.detections(entry), list)
    copied = json.loads((made.folder / INHERIT.id[:16] / "model" / "inherited.json").read_text())["copied"]
    assert copied
    assert not (made.folder / NONE.id[:16] / "model" / "inherited.json").exists()


def test_held_again_nothing_is_trained(held: tuple[Trainings, dict[str, Trial], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    made, trials, _ = held
    monkeypatch.setattr(trainings, "train_and_evaluate", _dying_in(1, training.train_and_evaluate))
    journal = (made.folder / JOURNAL).read_bytes()
    assert made.run([*ENTRIES, Entry("another name", preset("pkd"), 0, True)]) == trials
    assert (made.folder / JOURNAL).read_bytes() == journal


def test_altered_detections_are_refused(held: tuple[Trainings, dict[str, Trial], list[str]]) -> None:
    made, _, _ = held
    file = made.folder / PKD.id[:16] / "detections" / "detections.json"
    whole = file.read_text()
    try:
        file.write_text("[]  ")
        with pytest.raises(ArtifactError, match=r"detections\.json"):
            made.detections(PKD)
    finally:
        file.write_text(whole)


def test_what_was_held_is_concluded(held: tuple[Trainings, dict[str, Trial], list[str]]) -> None:
    made, trials, _ = held
    found = conclude("tiny", made, ENTRIES, trials, {"cwd": "no common stride"})
    assert [row.name for row in found.rows] == ["none", "inherit", "pkd"]
    assert [(one.a, one.b) for one in found.differences if one.figure == "AP"] == [
        ("inherit", "none"), ("pkd", "none"), ("pkd", "inherit"),
    ]  # fmt: skip
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["recipes"][2]["kinds"]["bbox"]["mean"]["AP"] == pytest.approx(trials[PKD.id].score)
    assert data["recipes"][2]["recipes"] == {"0": str(PKD.recipe)}
    assert data["left_out"] == {"cwd": "no common stride"}
    assert data["teacher"]["bbox"]["AP"] is not None


def test_several_processes_give_the_same(
    held: tuple[Trainings, dict[str, Trial], list[str]], pair: Pair, schedule: Schedule, subset: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    _, trials, _ = held
    monkeypatch.setenv("DETKDS_HOME", str(tmp_path))
    both = Trainings(pair, schedule, subset)
    found = both.run(ENTRIES[1:], jobs=2)
    assert {name: trial.score for name, trial in found.items()} == {entry.id: trials[entry.id].score for entry in ENTRIES[1:]}
    assert sorted(trial.number for trial in found.values()) == [0, 1]


def test_a_rejected_recipe_is_a_row_without_figures(
    pair: Pair, schedule: Schedule, subset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training with it fails at step 3 for seed 1, so that differences are over seed 0 alone."""

    def fake(context: TrainingContext, one: Training, show: Callable[[str], None]) -> Trial:
        trial = Trial(one.number, one.recipe, TrialState.COMPLETE)
        if one.seed and one.recipe.active:
            rejected = Rejected("nan", "loss is nan at training step 3 of 6", 3)
            return replace(trial, state=TrialState.REJECTED, reason=str(rejected), student_steps=rejected.student_steps)
        return replace(trial, score=0.0, student_steps=6)

    monkeypatch.setenv("DETKDS_HOME", str(tmp_path))
    monkeypatch.setattr(trainings, "train_and_evaluate", fake)
    monkeypatch.setattr(Trainings, "detections", lambda self, entry: [])
    monkeypatch.setattr(Trainings, "teacher", lambda self: [])
    made = Trainings(pair, schedule, subset)
    entries = [replace(entry, seed=seed) for entry in (NONE, PKD) for seed in (0, 1)]
    found: Comparison = conclude("tiny", made, entries, made.run(entries))
    assert found.rows[1].rejected == {1: "nan: loss is nan at training step 3 of 6"}
    gap = found.difference("pkd", "none", "bbox")
    assert gap is not None
    assert gap.seeds == 1


def test_what_the_pair_cannot_share_is_known_before_anything_is_trained(pair: Pair, schedule: Schedule, subset: Path) -> None:
    assert Trainings(pair, schedule, subset).unsupported() == {}
