"""A run with several teachers: what run.yaml may say, what `check` refuses, what each stage is told, and a training that resumes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_run
import torch
from rich.console import Console
from tiny_run import written

from detkds.detectors import build_detector, load_weights, save_student
from detkds.detectors.ensemble import Ensemble
from detkds.errors import ConfigError, Rejected
from detkds.genome import Recipe
from detkds.objective import Goal
from detkds.pipeline import check, evaluate, run_config, stored_inputs, submit, train
from detkds.pipeline import pair as pairs
from detkds.pipeline.addresses import data_version
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.run import Run
from detkds.pipeline.settings import Pair, Schedule
from detkds.pipeline.train import classes_of
from detkds.storage import open_store

QUIET = Console(quiet=True)
RECIPE = Recipe.parse("global: none > none > norm_N | l2 x 2\nlogits: none | l2 x 1")
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def second(pair: Pair, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of another detector of the teacher's config, labels in the same order."""
    names = tuple(category["name"] for category in json.loads((pictures / "annotations/train.json").read_text())["categories"])
    path = tmp_path_factory.mktemp("second") / "second.pth"
    save_student(build_detector(pairs.detector_config(pair.teacher_config, names, pretrained=False), seed=5), path, classes=names)
    return path


def content(pictures: Path, pair: Pair, second: Path, **teacher: Any) -> dict[str, Any]:
    others = [{"config": pair.teacher_config, "checkpoint": str(second)}]
    return tiny_run.content(pictures, pair, teacher=tiny_run.teacher(pair, others=others, **teacher))


def taught(path: Path, home: Path) -> Pair:
    """What the stages are told of a run's detectors."""
    with Run.open(path, home=home, console=QUIET) as run:
        values = run.values
    return Pair(*(values[name] for name in ("teacher_config", "teacher_checkpoint", "student_config", "student_checkpoint", "inherit")))


BACKBONE = {"config": "timm/test_convnext", "checkpoint": "s3://detkds/w.safetensors"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw.update(teacher=[raw["teacher"]]), r"write the further ones as `teacher\.others`"),
        (
            lambda raw: raw["teacher"].update(others=[], combine="mean"),
            r"`combine` says how several teachers are combined, and there is one",
        ),
        (lambda raw: raw["teacher"].update(combine="vote"), r"teacher\.combine: must be 'mean' or 'agreement', but got 'vote'"),
        (lambda raw: raw["teacher"].update(combine="agreement", weight=2), r"so `weight` has no effect; leave it out"),
        (lambda raw: raw["teacher"].update(weight=0), r"teacher\.weight: must be greater than 0, but got 0"),
        (
            lambda raw: raw["teacher"].update(combine="agreement", others=[BACKBONE]),
            r"`combine: agreement` compares detections with labels, and timm/test_convnext is a backbone",
        ),
        (lambda raw: raw["teacher"]["others"][0].pop("checkpoint"), r"teacher\.others\.0\.checkpoint: is required"),
        (lambda raw: raw["teacher"]["others"][0].update(checkpoint="none.pth"), r"none\.pth does not exist"),
        (lambda raw: raw.update(teacher={"config": "self", "others": [BACKBONE]}), r"so leave out teacher\.others"),
    ],
)
def test_what_cannot_be_combined_is_refused_in_one_line(
    pictures: Path, pair: Pair, second: Path, tmp_path: Path, change: Change, said: str
) -> None:
    raw = content(pictures, pair, second)
    change(raw)
    with pytest.raises(ConfigError, match=said) as found:
        run_config.load(written(tmp_path / "run.yaml", raw))
    assert len(str(found.value).splitlines()) == 1


def test_check_refuses_a_teacher_of_other_classes_or_another_order(pictures: Path, pair: Pair, second: Path, tmp_path: Path) -> None:
    names = json.loads((pictures / "annotations/train.json").read_text())["categories"]
    order = tuple(category["name"] for category in names)
    fewer, turned = tmp_path / "fewer.pth", tmp_path / "turned.pth"
    save_student(build_detector(pairs.detector_config(pair.teacher_config, order[:2], pretrained=False), seed=5), fewer, classes=order[:2])
    save_student(build_detector(pairs.detector_config(pair.teacher_config, order, pretrained=False), seed=5), turned, classes=order[::-1])
    for path, said in (
        (fewer, rf"teacher\.others\.0: .* 2 classes, the data set has {len(order)}"),
        (turned, r"teacher\.others\.0: .*another order"),
    ):
        raw = content(pictures, pair, path)
        with pytest.raises(ConfigError, match=said):
            check.check(written(tmp_path / "run.yaml", raw), trust=False, console=QUIET, home=tmp_path / "home", timed=False)


def test_check_measures_each_teacher(pictures: Path, pair: Pair, second: Path, tmp_path: Path) -> None:
    console = Console(record=True, width=250)
    found = check.check(
        written(tmp_path / "run.yaml", content(pictures, pair, second)), trust=False, console=console, home=tmp_path / "home"
    )
    said = console.export_text()
    for number, checkpoint in enumerate((pair.teacher_checkpoint, second), 1):  # two lines of one config can be told apart
        assert said.count(f"teacher {number} {pair.teacher_config} with {checkpoint}: ") == 1
    assert "teacher 1 AP " in said
    assert "teacher 2 AP " in said
    assert {"teacher 1", "teacher 2"} <= found.keys()
    raw = content(pictures, pair, second, min_ap=90)
    with pytest.raises(ConfigError, match=r"teacher 1: the teacher must reach AP 90\.0"):
        check.check(written(tmp_path / "run.yaml", raw), trust=False, console=QUIET, home=tmp_path / "home")


@pytest.mark.parametrize(
    ("combine", "count", "said"),
    [
        ("mean", 1, r"the first teacher's detections of score 0\.3 or more stand for objects there\n"),
        ("agreement", 1, r"or more stand for objects there; without labels two teachers confirm each other equally, so each counts half\n"),
        ("agreement", 2, r"objects there; without labels a teacher counts by the images on which the others confirm it best\n"),
    ],
)
def test_check_says_how_teachers_share_images_without_labels(
    pictures: Path, pair: Pair, second: Path, tmp_path: Path, combine: str, count: int, said: str
) -> None:
    raw = content(pictures, pair, second, combine=combine)
    raw["teacher"]["others"] *= count
    raw["data"]["unlabelled"] = {"images": "teacher"}
    console = Console(record=True, width=250)
    check.check(written(tmp_path / "run.yaml", raw), trust=False, console=console, home=tmp_path / "home", timed=False)
    assert re.search(said, console.export_text())


def test_every_stage_has_all_teachers_and_their_weights(pictures: Path, pair: Pair, second: Path, home: Path, tmp_path: Path) -> None:
    raw = content(pictures, pair, second, weight=3)
    raw["teacher"]["others"][0]["scale"] = 1.5
    told = taught(written(tmp_path / "run.yaml", raw), home)
    classes = classes_of(train.Source(pictures / "annotations/train.json", pictures))
    ensemble = pairs.teachers(told, classes)
    assert isinstance(ensemble, Ensemble)
    assert (ensemble.weights, ensemble.combine) == ((0.75, 0.25), "mean")
    assert [float(getattr(one.data_preprocessor, "shown_scale", 1.0)) for one in ensemble.teachers] == [1.0, 1.5]
    for one, path in zip(ensemble.teachers, (pair.teacher_checkpoint, second), strict=True):
        weights = load_weights(path)
        assert all(torch.equal(tensor, weights[name]) for name, tensor in one.state_dict().items())


def test_another_content_of_a_further_checkpoint_is_another_run(
    pictures: Path, pair: Pair, second: Path, home: Path, subset: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.pth"
    own.write_bytes(second.read_bytes())
    path = written(tmp_path / "run.yaml", content(pictures, pair, own))
    config, told = run_config.load(path), taught(path, home)

    def marks() -> tuple[Any, ...]:
        return data_version(config, pair.teacher_checkpoint), pairs.identity(told.teacher_config)

    before, proxy = marks(), Proxy(told, Schedule(1, 2), subset, early_stop=False).identity
    assert marks() == before
    own.write_bytes(Path(pair.teacher_checkpoint).read_bytes())
    assert all(one != other for one, other in zip(before, marks(), strict=True))
    assert Proxy(told, Schedule(1, 2), subset, early_stop=False).identity != proxy
    assert "others" not in Proxy(pair, Schedule(1, 2), subset, early_stop=False).identity


def test_a_training_with_two_equal_teachers_is_that_with_one(
    pictures: Path, pair: Pair, home: Path, subset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = taught(written(tmp_path / "run.yaml", content(pictures, pair, Path(pair.teacher_checkpoint), combine="agreement")), home)
    alone = replace(told, teacher_config=pair.teacher_config)
    schedule = Schedule(1, 2)
    for name, one in (("alone", alone), ("both", told)):
        train.run(one, schedule, RECIPE, subset=subset, out=tmp_path / name)
    weights = [load_weights(tmp_path / name / train.CHECKPOINT) for name in ("alone", "both")]
    assert weights[0].keys() == weights[1].keys()
    assert [name for name in weights[0] if not torch.equal(weights[0][name], weights[1][name])] == []
    students = {"student": tmp_path / "alone", "distilled": tmp_path / "both"}
    result = evaluate.run(told.teacher_config, told.teacher_checkpoint, students, subset=subset, batch_size=2, out=tmp_path / "e")
    assert set(result.metadata) == {"teacher_AP", "student_AP", "distilled_AP"}
    assert "teacher: the first of 2 teachers is evaluated" in capsys.readouterr().out


def test_the_second_teacher_is_measured_and_changes_the_student(
    pictures: Path, pair: Pair, second: Path, home: Path, subset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    students = []
    for name, raw in (("one", content(pictures, pair, Path(pair.teacher_checkpoint))), ("two", content(pictures, pair, second))):
        told = taught(written(tmp_path / "run.yaml", raw), home)
        train.run(told, Schedule(1, 2), RECIPE, subset=subset, out=tmp_path / name)
        students.append(load_weights(tmp_path / name / train.CHECKPOINT))
    assert any(not torch.equal(students[0][name], students[1][name]) for name in students[0])
    assert "teacher 2: AP" in capsys.readouterr().out


def test_a_candidate_that_needs_what_another_teacher_lacks_is_rejected(
    pictures: Path, pair: Pair, home: Path, subset: Path, tmp_path: Path
) -> None:
    names = classes_of(train.Source(pictures / "annotations/train.json", pictures))
    config = pairs.detector_config(pair.teacher_config, names, pretrained=False)
    wider = {"model.bbox_head.feat_channels": 2 * config.model.bbox_head.feat_channels, "model.bbox_head.stacked_convs": 2}
    config.merge_from_dict(wider)
    save_student(build_detector(config, seed=5), tmp_path / "wider.pth", classes=names)
    raw = content(pictures, pair, tmp_path / "wider.pth")
    raw["teacher"]["others"][0]["options"] = wider
    told = taught(written(tmp_path / "run.yaml", raw), home)
    crossed = Recipe.parse("logits: cross | l2 x 1")
    assert Proxy(pair, Schedule(1, 2), subset, early_stop=False, loss_filter=False)(crossed, Goal()).score is not None
    with pytest.raises(Rejected, match="cannot share cross-head predictions: the towers have other channels") as found:
        Proxy(told, Schedule(1, 2), subset, early_stop=False, loss_filter=False)(crossed, Goal())
    assert found.value.kind == "unsupported"


def test_a_cluster_gets_further_checkpoints_from_the_store(
    pictures: Path, pair: Pair, second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = run_config.load(written(tmp_path / "run.yaml", content(pictures, pair, second)))
    monkeypatch.delenv("DETKDS_S3_ENDPOINT", raising=False)
    with pytest.raises(ConfigError, match=r"second\.pth must go into the store, but DETKDS_S3_ENDPOINT is not set"):
        submit._teacher_address(config, tmp_path, False)
    monkeypatch.setenv("DETKDS_S3_FOLDER", str(tmp_path / "store"))
    monkeypatch.setattr(submit, "_is_here", lambda address: False)
    here = submit._teacher_address(config, tmp_path, False)
    assert json.loads(Path(here).read_text())["as_teacher"]["others"][0]["checkpoint"] == str(second)
    lost = {"as_teacher": {"others": [{"checkpoint": "s3://detkds/none.pth"}]}}
    open_store("s3://detkds").ensure_bucket()
    assert list(stored_inputs._of_others(lost)) == [
        "teacher.others.0: s3://detkds/none.pth does not exist; correct the address, or put the file there"
    ]
