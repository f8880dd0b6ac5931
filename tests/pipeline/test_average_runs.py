"""`teacher: average`: what run.yaml may say, what `check` prints, what every stage is told, and a run without a teacher to evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from test_self_distillation import QUIET, content
from tiny_run import written

from detkds.detectors import load_weights
from detkds.detectors.average_teacher import AverageTeacher
from detkds.errors import ConfigError
from detkds.genome import Recipe
from detkds.objective import Goal
from detkds.pipeline import check, doctor, evaluate, run_config, submit, train
from detkds.pipeline import pair as pairs
from detkds.pipeline.form import Form
from detkds.pipeline.pair import OF_AN_AVERAGE
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.run import Run
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.submit import Images, _only_here
from detkds.pipeline.values import Values

RECIPE = Recipe.parse("global: none > none > norm_N | l2 x 2\nlogits: none | l2 x 1")


def values_of(path: Path, home: Path) -> Values:
    with Run.open(path, home=home, console=QUIET) as run:
        return Values.read(run.values)


@pytest.fixture(scope="module")
def told(pictures: Path, pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """What the stages are told of a run with `teacher: average`."""
    folder = tmp_path_factory.mktemp("average")
    return values_of(written(folder / "run.yaml", content(pictures, pair, "average")), folder / "home").pair


def test_average_is_the_students_config_without_a_checkpoint(pictures: Path, pair: Pair, tmp_path: Path) -> None:
    config = run_config.load(written(tmp_path / "run.yaml", content(pictures, pair, "average")))
    assert config.teacher.config == config.student.config == pair.student_config
    assert (config.teacher.momentum, config.teacher.train, config.teacher.checkpoint) == (0.999, None, None)
    assert (config.teacher.generations, config.student.inherit) == (0, False)
    asked = run_config.load(written(tmp_path / "run.yaml", content(pictures, pair, {"config": "average", "momentum": 0.99})))
    assert asked.teacher.momentum == 0.99
    assert run_config.load(written(tmp_path / "run.yaml", content(pictures, pair))).teacher.momentum is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"student": {"inherit": True}}, r"`student\.inherit` needs a teacher that is there before the student, .*leave it out"),
        (
            {"teacher": {"config": "average", "min_ap": 1}},
            r"`teacher: average` is the student's own moving average, so leave out teacher\.min_ap",
        ),
        ({"teacher": {"config": "average", "checkpoint": "a.pth", "generations": 2}}, r"`teacher\.generations` belongs to `teacher: self`"),
        ({"teacher": {"config": "average", "scale": 2, "others": []}}, r"so leave out teacher\.others, teacher\.scale"),
        ({"teacher": {"config": "self", "momentum": 0.9}}, r"`teacher\.momentum` belongs to `teacher: average`"),
        ({"teacher": {"config": "x.yaml", "momentum": 0.9}}, r"`teacher\.momentum` belongs to `teacher: average`"),
        ({"teacher": {"config": "average", "momentum": 0.4}}, r"teacher\.momentum: .*greater than or equal to 0\.5, but got 0\.4"),
        ({"teacher": {"config": "average", "momentum": 1}}, r"teacher\.momentum: .*less than 1, but got 1"),
        ({"teacher": "average", "search": {"weights_are": "calibrated"}}, r"`search\.weights_are: calibrated` measures losses before"),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(pictures: Path, pair: Pair, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    raw = content(pictures, pair, "average")
    for name, value in change.items():
        raw[name] = {**raw[name], **value} if isinstance(raw[name], dict) and isinstance(value, dict) else value
    with pytest.raises(ConfigError, match=said) as found:
        run_config.load(written(tmp_path / "run.yaml", raw))
    assert len(str(found.value).splitlines()) == 1


def test_check_and_doctor_say_that_there_is_no_teacher_to_measure(pictures: Path, pair: Pair, tmp_path: Path) -> None:
    path = written(tmp_path / "run.yaml", content(pictures, pair, {"config": "average", "momentum": 0.99}))
    console = Console(record=True, width=250)
    found = check.check(path, trust=False, console=console, home=tmp_path / "home")
    text = console.export_text()
    assert f"teacher  {OF_AN_AVERAGE}; momentum 0.99" in text
    assert "s a training step" in text
    assert f"{path}: good" in text
    assert not any(name.startswith("teacher") for name in found)
    assert doctor._teacher(run_config.load(path), tmp_path / "home", False, QUIET) == OF_AN_AVERAGE


def test_a_cluster_is_told_the_momentum(pictures: Path, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)
    path = written(tmp_path / "run.yaml", content(pictures, pair, {"config": "average", "momentum": 0.99}))
    config, values = run_config.load(path), values_of(path, tmp_path / "home")
    assert not any("teacher" in line for line in _only_here(config, Images("x"), None))
    assert json.loads(Path(submit._teacher_address(config, tmp_path, False)).read_text())["as_teacher"]["momentum"] == 0.99
    assert (values.teacher_checkpoint, values.inherit) == ("", False)
    sent = json.loads(json.dumps(Form.of(values).parameters()), parse_int=float)  # KFP's structures know no whole numbers
    sent |= {"epochs": int(sent["epochs"]), "gpus": int(sent["gpus"])}
    for stage in ("evolve", "weights", "train"):
        pair_of = Values.read(Form(**sent).values().of_stage(stage)).pair
        assert pairs.momentum(pair_of.teacher_config) == 0.99


def test_every_stage_builds_it(told: Pair, pictures: Path) -> None:
    classes = train.classes_of(train.Source(pictures / "annotations/train.json", pictures))
    teacher = pairs.teachers(told, classes)
    assert isinstance(teacher, AverageTeacher)
    assert teacher.momentum == 0.999
    assert pairs.not_measured(told.teacher_config) == OF_AN_AVERAGE


def test_candidates_and_the_student_are_taught_by_it_and_no_teacher_is_evaluated(
    told: Pair, subset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = Proxy(told, Schedule(1, 2), subset, early_stop=False)
    found = proxy(Recipe.parse("global: none > none > none | l2 x 10"), Goal())
    assert found.details["loss"] != proxy(Recipe(), Goal()).details["loss"]
    assert proxy.identity["teacher"] == "average 0.999"
    for name, recipe in (("student", Recipe()), ("distilled", RECIPE)):
        train.run(told, Schedule(2, 2), recipe, subset=subset, out=tmp_path / name)
    weights = [load_weights(tmp_path / name / train.CHECKPOINT) for name in ("student", "distilled")]
    assert weights[0].keys() == weights[1].keys()  # nothing of the average is saved
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    students = {name: tmp_path / name for name in ("student", "distilled")}
    result = evaluate.run(told.teacher_config, told.teacher_checkpoint, students, subset=subset, batch_size=2, out=tmp_path / "e")
    assert set(result.metadata) == {"student_AP", "distilled_AP"}
    assert f"[evaluate] teacher: {OF_AN_AVERAGE}" in capsys.readouterr().out
