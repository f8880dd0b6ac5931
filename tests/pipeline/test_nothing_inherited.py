"""A student that inherits, where there is nothing to inherit: refused or said before anything is trained."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_run
import torch
import yaml
from rich.console import Console
from safetensors.torch import save_file
from tiny_run import written

from detkds.detectors import build_detector
from detkds.detectors.configs.data_config import read_config
from detkds.errors import ConfigError
from detkds.experiments.ablate import ablate
from detkds.experiments.compare import compare
from detkds.experiments.comparison import Comparison
from detkds.experiments.prepared_run import Effort
from detkds.experiments.trainings import Entry
from detkds.genome import Recipe
from detkds.pipeline import train
from detkds.pipeline.check import check
from detkds.pipeline.run import Run
from detkds.pipeline.settings import Pair, Schedule

TIMM = "timm/test_convnext"
NARROW = {
    "model.neck.out_channels": 24,
    "model.bbox_head.in_channels": 24,
    "model.bbox_head.feat_channels": 24,
    "model.bbox_head.anchor_generator.ratios": [1.0],
}
"""Another number of channels and of anchors than the teacher's, so that no tensor has the teacher's shape."""
Content = Callable[[str], dict[str, Any]]


@pytest.fixture(autouse=True)
def _folder_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)


@pytest.fixture
def whole(pair: Pair, tmp_path: Path) -> Path:
    """A checkpoint with all of the student's weights; its head is of the four classes of the pictures."""
    path = tmp_path / "whole.pth"
    torch.save({"state_dict": build_detector(read_config(pair.student_config), seed=1).state_dict()}, path)
    return path


@pytest.fixture
def content(pictures: Path, pair: Pair, whole: Path, tmp_path: Path) -> Content:
    def made(kind: str) -> dict[str, Any]:
        raw = tiny_run.content(pictures, pair)
        if kind == "average":
            raw["teacher"] = "average"
        elif kind == "backbone":
            network: Any = build_detector(read_config(TIMM), seed=3)
            save_file(network.backbone.network.state_dict(), tmp_path / "model.safetensors")
            raw["teacher"] = {"config": TIMM, "checkpoint": str(tmp_path / "model.safetensors")}
        elif kind == "checkpoint":
            raw["student"]["checkpoint"] = str(whole)
        else:
            raw["student"]["options"] = NARROW
        return raw

    return made


REASONS = {
    "average": "the teacher is the moving average of the student, which is not there before the training",
    "backbone": "the teacher is a backbone, which has neither neck nor head",
    "checkpoint": "all of the student's first weights are those of its checkpoint",
    "shapes": "no tensor of the student's neck and head has the name and shape of one of the teacher's",
}


@pytest.mark.parametrize("kind", REASONS)
def test_compare_refuses_to_inherit_nothing_before_anything_is_trained(
    kind: str, content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "values", property(lambda run: pytest.fail("the run would be made ready")))
    path = written(tmp_path / "run.yaml", content(kind))
    how: dict[str, Any] = {"home": tmp_path / "home", "trust": False, "console": Console(quiet=True), "out": tmp_path / "out"}
    with pytest.raises(ConfigError) as refused:
        compare(path, ["none", "start=inherit"], Effort(1), **how)
    assert str(refused.value) == f"'start' would inherit nothing, as none does: {REASONS[kind]}; leave it out."


@pytest.mark.parametrize("kind", ["average", "checkpoint"])
def test_the_default_recipes_leave_it_out_and_the_table_says_why(
    kind: str, content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Entry] = []

    def conclude(made: Any, trainings: Any, entries: list[Entry], effort: Effort, left_out: dict[str, str]) -> Comparison:
        trained.extend(entries)
        return Comparison("tiny", 4, 1, (), (), {}, left_out)

    for verb in ("compare", "ablate"):
        monkeypatch.setattr(f"detkds.experiments.{verb}.train_and_compare", conclude)
    path, console = written(tmp_path / "run.yaml", content(kind)), Console(file=io.StringIO(), width=200)
    how: dict[str, Any] = {"home": tmp_path / "home", "trust": False, "console": console}
    result = compare(path, [], Effort(1), **how, out=tmp_path / "compare")
    ablate(path, "single-losses", Effort(1), recipe="pkd", **how, out=tmp_path / "ablate")
    assert result.left_out["inherit"] == REASONS[kind]
    assert {entry.name for entry in trained} >= {"none", "pkd", "global"}
    assert not any(entry.inherit or entry.name == "inherit" for entry in trained)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"inherit is left out: {REASONS[kind]}" in text
    assert text.count(f"inherit was left out: {REASONS[kind]}") == 2


def test_a_run_that_says_inherit_beside_a_whole_checkpoint_is_refused(content: Content, tmp_path: Path) -> None:
    raw = content("checkpoint")
    raw["student"]["inherit"] = True
    path = written(tmp_path / "run.yaml", raw)
    with pytest.raises(
        ConfigError, match=r"^student\.inherit: \S+whole\.pth has all of the student's weights, so .* write student.inherit: f"
    ):
        check(path, trust=False, console=Console(quiet=True), home=tmp_path / "home", timed=False)


@pytest.mark.parametrize(("kind", "said"), [("checkpoint", True), ("shapes", True), ("average", False)])
def test_check_says_that_nothing_is_inherited_where_the_run_would(kind: str, said: bool, content: Content, tmp_path: Path) -> None:
    """With a moving average the run itself does not inherit, so there is nothing to say."""
    console = Console(record=True, width=200)
    check(written(tmp_path / "run.yaml", content(kind)), trust=False, console=console, home=tmp_path / "home", timed=False)
    assert (f"student  nothing is inherited: {REASONS[kind]}" in console.export_text()) is said


def test_check_is_silent_where_something_is_inherited(pictures: Path, pair: Pair, tmp_path: Path) -> None:
    console = Console(record=True, width=200)
    raw = tiny_run.content(pictures, pair)
    raw["student"]["inherit"] = True
    check(written(tmp_path / "run.yaml", raw), trust=False, console=console, home=tmp_path / "home", timed=False)
    assert "inherit" not in console.export_text()


def test_a_training_says_that_a_whole_checkpoint_leaves_nothing_to_inherit(
    pair: Pair, whole: Path, subset: Path, schedule: Schedule, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a cluster, whose pipelines have the parameters of a run without its run.yaml."""
    started = Pair(pair.teacher_config, pair.teacher_checkpoint, pair.student_config, str(whole), inherit=True)
    train.run(started, schedule, Recipe(), subset=subset, out=tmp_path / "model")
    assert f"nothing is inherited: {whole} has all of the student's weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("recipe", "said"),
    [("inherit", r"'inherit' has no loss"), ("none", r"'none' has no loss"), ("pkd without unlabelled", r"leave out `without unlabelled`")],
)
def test_single_losses_refuses_words_that_say_nothing_of_losses(
    recipe: str, said: str, content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "values", property(lambda run: pytest.fail("the run would be made ready")))
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(content("average")))
    with pytest.raises(ConfigError, match=said):
        ablate(
            path, "single-losses", Effort(1), recipe=recipe, home=tmp_path / "home", trust=False, console=Console(quiet=True), out=tmp_path
        )
