"""A run whose teacher is a backbone of timm: what run.yaml may say, what `check` says, and results without its AP."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_run
import torch
from rich.console import Console
from safetensors.torch import save_file
from tiny_run import written

from detkds.detectors import build_detector
from detkds.detectors.configs.data_config import read_config
from detkds.errors import ArtifactError, ConfigError
from detkds.evaluation.result import Role
from detkds.experiments.trainings import Trainings
from detkds.genome import Recipe
from detkds.objective import Goal
from detkds.pipeline import check, evaluate, run_config, teaching, train
from detkds.pipeline.checkpoint_shapes import describe
from detkds.pipeline.form import Form
from detkds.pipeline.pair import OF_A_BACKBONE
from detkds.pipeline.proxy import Proxy
from detkds.pipeline.run import Run
from detkds.pipeline.settings import Pair, Schedule
from detkds.report.data import ReportData
from detkds.report.markdown import markdown
from detkds.report.page import render

QUIET = Console(quiet=True)
NAME = "timm/test_convnext"
RECIPE = Recipe.parse("global: none > none > norm_N | l2 x 2")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a hub's model.safetensors has: the tensors by timm's names, the classifier's among them."""
    teacher: Any = build_detector(read_config(NAME), seed=3)
    path = tmp_path_factory.mktemp("backbone") / "model.safetensors"
    save_file({name: tensor.clone() for name, tensor in teacher.backbone.network.state_dict().items()}, path, metadata={"format": "pt"})
    return path


def content(pictures: Path, pair: Pair, weights: Path) -> dict[str, Any]:
    return tiny_run.content(pictures, pair, teacher={"config": NAME, "checkpoint": str(weights)})


def test_nothing_is_inherited_from_a_backbone(pictures: Path, pair: Pair, weights: Path, tmp_path: Path) -> None:
    config = run_config.load(written(tmp_path / "run.yaml", content(pictures, pair, weights)))
    assert config.teacher.is_backbone
    assert config.student.inherit is False
    form = Form("tiny", "s3://detkds/data", NAME, "s3://detkds/w.safetensors", "retinanet_r50_fpn_1x_coco", "s3://detkds/runs")
    assert (form.values().teacher_config, form.values().inherit) == (NAME, False)


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw["student"].update(inherit=True), r"`student\.inherit` needs a teacher with neck and head, and timm/test_convnext"),
        (lambda raw: raw["teacher"].update(min_ap=3), r"`min_ap` is for detectors, and timm/test_convnext is a backbone"),
        (
            lambda raw: raw.update(teacher={"config": NAME, "train": {"epochs": 1}}),
            r"timm/test_convnext is a backbone, which is not trained here; give `checkpoint`",
        ),
        (lambda raw: raw["student"].update(config=NAME), r"student\.config: timm/test_convnext is a backbone, which detects nothing"),
        (
            lambda raw: (raw["search"].update(knowledge=["global", "fgbg"]), raw["data"].update(unlabelled={"images": "teacher"})),
            r"fgbg would need the teacher's detections on images without labels, .*write data\.unlabelled\.knowledge: \[global\]",
        ),
    ],
)
def test_what_a_backbone_cannot_do_is_refused_in_one_line(
    pictures: Path, pair: Pair, weights: Path, tmp_path: Path, change: Change, said: str
) -> None:
    raw = content(pictures, pair, weights)
    change(raw)
    with pytest.raises(ConfigError, match=said) as found:
        run_config.load(written(tmp_path / "run.yaml", raw))
    assert len(str(found.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda raw: raw["search"].update(knowledge=["global", "logits"]),
            r"search\.knowledge: logits cannot be searched: the teacher is a backbone, which has neither scores nor boxes",
        ),
        (
            lambda raw: raw["search"].update(knowledge=["instance"]),
            r"instance cannot be searched: objects are compared across levels of equal",
        ),
        (lambda raw: raw["teacher"].update(config="timm/test_convnxt"), r"teacher: timm has no network 'test_convnxt'; did you mean"),
        (lambda raw: raw["teacher"].update(config="timm/test_resnet"), r"does not fit ResNet: \d+ missing"),
    ],
)
def test_check_refuses_what_the_backbone_does_not_have(
    pictures: Path, pair: Pair, weights: Path, tmp_path: Path, change: Change, said: str
) -> None:
    raw = content(pictures, pair, weights)
    change(raw)
    with pytest.raises(ConfigError, match=said):
        check.check(written(tmp_path / "run.yaml", raw), trust=False, console=QUIET, home=tmp_path / "home", timed=False)


def test_check_says_that_no_ap_is_measured(pictures: Path, pair: Pair, weights: Path, tmp_path: Path) -> None:
    console = Console(record=True, width=200)
    path = written(tmp_path / "run.yaml", content(pictures, pair, weights))
    found = check.check(path, trust=False, console=console, home=tmp_path / "home")
    said = console.export_text()
    assert f"teacher  {NAME}: 0.3 million parameters" in said
    assert f"teacher  {OF_A_BACKBONE}" in said
    assert "teacher" not in found
    assert found["pace"]["distilled_s"] > 0


def test_it_teaches_and_is_not_evaluated(
    pictures: Path,
    pair: Pair,
    weights: Path,
    subset: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Run.open(written(tmp_path / "run.yaml", content(pictures, pair, weights)), home=home, console=QUIET) as run:
        values = run.values
    taught = Pair(values["teacher_config"], values["teacher_checkpoint"], values["student_config"], inherit=False)
    schedule = Schedule(1, 2)
    monkeypatch.setattr(teaching, "measure", lambda *_: pytest.fail("a backbone has no AP that could be measured"))
    train.run(taught, schedule, RECIPE, subset=subset, out=tmp_path / "distilled")
    train.run(taught, schedule, Recipe(), subset=subset, out=tmp_path / "student")
    taught_weights, plain = (torch.load(tmp_path / name / train.CHECKPOINT)["state_dict"] for name in ("distilled", "student"))
    assert taught_weights.keys() == plain.keys()
    assert any((taught_weights[name] != plain[name]).any() for name in plain)
    students = {name: tmp_path / name for name in ("student", "distilled")}
    result = evaluate.run(
        taught.teacher_config, taught.teacher_checkpoint, students, subset=subset, batch_size=2, out=tmp_path / "evaluation"
    )
    assert set(result.metadata) == {"student_AP", "distilled_AP"}
    assert f"[evaluate] teacher: {OF_A_BACKBONE}" in capsys.readouterr().out
    analysis, _ = evaluate.read(tmp_path / "evaluation")
    assert Role.TEACHER not in analysis.detectors
    data = ReportData(run="tiny", evaluation=analysis, recipe=RECIPE)
    assert (
        "No teacher is evaluated, since it is a backbone, which detects nothing, or the moving average of the student, which ends with it."
        in markdown(data)
    )
    assert (
        "No teacher is evaluated, since it is a backbone, which detects nothing, or the moving average of the student, which ends with it."
        in render(data)
    )
    assert Trainings(taught, schedule, subset).teacher() is None


def test_a_candidate_is_told_from_that_of_another_backbone(pair: Pair, weights: Path, subset: Path, tmp_path: Path) -> None:
    def proxy(name: str, **options: Any) -> Proxy:
        model = {"type": "BackboneTeacher", "name": "test_convnext", "options": options}
        (tmp_path / name).write_text(json.dumps({"model": model}))
        taught = Pair(str(tmp_path / name), str(weights), pair.student_config, inherit=False)
        return Proxy(taught, Schedule(1, 2), subset, early_stop=False)

    one, other = proxy("one.json"), proxy("other.json", drop_path_rate=0.5)
    assert one.identity != other.identity
    assert one(RECIPE, Goal()).student_steps > 0


def test_a_task_without_torch_reads_a_file_of_safetensors(weights: Path, tmp_path: Path) -> None:
    network: Any = build_detector(read_config(NAME), seed=3)
    expected = {name: tuple(tensor.shape) for name, tensor in network.backbone.network.state_dict().items()}
    assert describe(weights).shapes == expected
    assert not describe(weights).is_whole
    cut = tmp_path / "cut.safetensors"
    for bytes_left in (0, 4, 100, weights.stat().st_size - 1):
        cut.write_bytes(weights.read_bytes()[:bytes_left])
        with pytest.raises(ArtifactError, match=r"cut\.safetensors is not plain weights"):
            describe(cut)
