"""`teacher: self`: the student of one generation teaches the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_run
from rich.console import Console
from tiny_run import written

from detkds.detectors import load_weights
from detkds.errors import ConfigError
from detkds.pipeline import check, run_config
from detkds.pipeline import publish as published
from detkds.pipeline import run as run_module
from detkds.pipeline.run import SEED_APART, Run, generation_before
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.submit import Images, _only_here
from detkds.pipeline.values import Values

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DETKDS_S3_ENDPOINT", "DETKDS_S3_FOLDER"):
        monkeypatch.delenv(name, raising=False)


def content(pictures: Path, pair: Pair, teacher: Any = "self", **more: Any) -> dict[str, Any]:
    parts = {"teacher": teacher, "student": {"config": pair.student_config, **more.pop("student", {})}}
    return tiny_run.content(pictures, pair, **parts, **{"train": {"epochs": 1, "batch_size": 4}, **more})


def test_self_is_the_students_config_trained_first(pictures: Path, pair: Pair, tmp_path: Path) -> None:
    config = run_config.load(written(tmp_path / "run.yaml", content(pictures, pair)))
    assert config.teacher.config == config.student.config == pair.student_config
    assert config.teacher.train is not None
    assert (config.teacher.generations, config.teacher.train.epochs, config.teacher.train.data) == (1, 1, None)
    assert config.student.inherit is False
    asked = run_config.load(written(tmp_path / "run.yaml", content(pictures, pair, {"config": "self", "generations": 3, "min_ap": 0})))
    assert (asked.teacher.generations, asked.teacher.min_ap) == (3, 0)
    assert generation_before(asked).name == "tiny-generation-2"
    assert generation_before(generation_before(asked)).name == "tiny-generation-1"
    assert generation_before(generation_before(asked)).teacher.generations == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"student": {"inherit": True}}, r"`student\.inherit` would start the student as its own copy under `teacher: self`; leave it out"),
        (
            {"teacher": [{"config": "a", "checkpoint": "a.pth"}]},
            r"`teacher` is one detector: .*write the further ones as `teacher\.others`",
        ),
        (
            {"teacher": {"config": "self", "scale": 2}},
            r"with `teacher: self` the student of the generation before teaches, so leave out teacher\.scale",
        ),
        ({"teacher": {"config": "self", "checkpoint": "a.pth"}}, r"so leave out teacher\.checkpoint"),
        (
            {"teacher": {"config": "x.yaml", "checkpoint": "s3://a/b.pth", "generations": 2}},
            r"`teacher\.generations` belongs to `teacher: self`",
        ),
        ({"teacher": {"config": "self", "generations": 11}}, r"teacher\.generations: .*less than or equal to 10, but got 11"),
    ],
)
def test_what_the_student_before_decides_is_refused_in_one_line(
    pictures: Path, pair: Pair, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as found:
        run_config.load(written(tmp_path / "run.yaml", {**content(pictures, pair), **_with_config(change, pair)}))
    assert len(str(found.value).splitlines()) == 1


def _with_config(change: dict[str, Any], pair: Pair) -> dict[str, Any]:
    return {**change, "student": {"config": pair.student_config, **change["student"]}} if "student" in change else change


def test_a_cluster_refuses_it_and_says_what_to_do(pictures: Path, pair: Pair, tmp_path: Path) -> None:
    config = run_config.load(written(tmp_path / "run.yaml", content(pictures, pair)))
    assert any(
        line.startswith("teacher: self is for this machine; run it with detkds run") for line in _only_here(config, Images("x"), None)
    )


def test_check_says_what_will_be_done(pictures: Path, pair: Pair, tmp_path: Path) -> None:
    path = written(tmp_path / "run.yaml", content(pictures, pair, {"config": "self", "generations": 2}))
    console = Console(record=True, width=200)
    check.check(path, trust=False, console=console, home=tmp_path / "home", timed=False)
    assert "the student of the generation before, trained here first without distillation; then 2 times a search" in console.export_text()


def test_the_first_teacher_is_a_student_without_distillation_of_another_seed(
    pictures: Path, pair: Pair, home: Path, tmp_path: Path
) -> None:
    path = written(tmp_path / "run.yaml", content(pictures, pair, {"config": "self", "min_ap": 0}))
    with Run.open(path, home=home, console=QUIET) as run:
        values = run.values
        teacher = load_weights(Path(values["teacher_checkpoint"]))
        baseline, distilled = (run.train(recipe).folder for recipe in ("", "pkd"))
    students = [load_weights(folder / "student.pth") for folder in (baseline, distilled)]
    assert values["inherit"] is False
    assert teacher.keys() == students[0].keys()
    for one, other in ((teacher, students[0]), (students[0], students[1])):
        assert any((one[name] != other[name]).any() for name in one)


def test_the_first_teacher_is_trained_as_the_student_is(
    pictures: Path, pair: Pair, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every setting of the section `train`, and another seed."""
    asked: list[Schedule] = []
    (tmp_path / "teacher.pth").write_bytes(b"")
    monkeypatch.setattr("detkds.pipeline.teacher.run", lambda pair, schedule, **how: asked.append(schedule) or tmp_path / "teacher.pth")
    train = {"epochs": 3, "batch_size": 6, "learning_rate": 0.5, "amp": "bf16", "channels_last": True, "compiled": True}
    with Run.open(written(tmp_path / "run.yaml", content(pictures, pair, train=train, seed=4)), home=home, console=QUIET) as run:
        values = Values.read(run.values)
    assert asked == [replace(values.training, seed=4 + SEED_APART)]
    assert asked[0] == Schedule(3, 6, 0.5, "bf16", 4 + SEED_APART, channels_last=True, compiled=True)


def test_a_further_generation_is_taught_by_the_finished_student_before(
    pictures: Path, pair: Pair, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs before are whole runs; here their pipelines are replaced by what they leave: a published student."""
    done: list[tuple[str, str, str]] = []

    def execute(self: Run, recipe: str = "") -> None:
        self._recipe = recipe
        done.append((self.name, recipe, str(self.values["teacher_checkpoint"])))
        folder = tmp_path / "published" / self.name
        folder.mkdir(parents=True)
        (folder / "student.pth").write_bytes(self.name.encode())
        (folder / "manifest.json").write_text("{}")  # of kind results, where a checkpoint must be a model's

    monkeypatch.setattr(run_module.Run, "execute", execute)
    monkeypatch.setattr(published, "fetch", lambda name, results, folder: (name, tmp_path / "published" / name))
    path = written(tmp_path / "run.yaml", content(pictures, pair, {"config": "self", "generations": 3, "min_ap": 0}))
    with Run.open(path, home=home, console=QUIET) as run:
        run.execute("pkd")
    assert [(name, recipe) for name, recipe, _ in done] == [(name, "pkd") for name in ("tiny-generation-1", "tiny-generation-2", "tiny")]
    assert "teachers" in done[0][2]
    assert [Path(teacher).parent.name for *_, teacher in done[1:]] == ["tiny-generation-1", "tiny-generation-2"]
    assert [Path(teacher).read_text() for *_, teacher in done[1:]] == ["tiny-generation-1", "tiny-generation-2"]
    assert not any((Path(teacher).parent / "manifest.json").exists() for *_, teacher in done[1:])
