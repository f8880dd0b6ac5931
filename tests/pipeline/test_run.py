"""A run.yaml opened on this machine: what it takes of the machine, its store, its parts."""

from __future__ import annotations

import io
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from rich.console import Console

import detkds
from detkds import plugins
from detkds.errors import ArtifactError, ConfigError, DatasetError, GenomeError
from detkds.pipeline.local_store import local_store
from detkds.pipeline.pull import pull
from detkds.pipeline.run import Run
from detkds.pipeline.settings import Pair
from detkds.pipeline.task import RUN
from detkds.processes import SPINS, VISIBLE, first_gpus
from detkds.storage import FolderStore, open_store

CLUSTER = """
name: blood
data:
  root: s3://detkds/blood
  train: {annotations: train.json}
  test: {annotations: val.json}
teacher: {config: retinanet_r101_fpn_1x_coco, checkpoint: s3://detkds/models/teacher.pth}
student: {config: retinanet_r50_fpn_1x_coco}
"""
BUDGET = {"population": 2, "iterations": 1, "top_k": 1, "subset": 0.5, "search_val": 0.5}


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DETKDS_S3_ENDPOINT", "DETKDS_S3_FOLDER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run_yaml(pair: Pair, pictures: Path, tmp_path: Path) -> Path:
    content = {
        "name": "tiny",
        "data": {
            "root": str(pictures),
            "train": {"annotations": "annotations/train.json", "images": "train"},
            "test": {"annotations": "annotations/test.json", "images": "test"},
        },
        "teacher": {"config": pair.teacher_config, "checkpoint": pair.teacher_checkpoint, "min_ap": 0},
        "student": {"config": pair.student_config},
        "search": {"knowledge": ["global", "logits"], **BUDGET},
        "train": {"epochs": 1, "batch_size": 4},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.mark.parametrize(
    ("before", "count", "after"),
    [(None, 2, "0,1"), ("3,5,7", 2, "3,5"), ("3", 2, "3"), ("", 2, ""), (None, 0, ""), ("GPU-a,GPU-b", 1, "GPU-a")],
)
def test_a_run_sees_as_many_gpus_as_it_is_given(before: str | None, count: int, after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, before or "")
    if before is None:
        monkeypatch.delenv(VISIBLE)
    assert first_gpus(count) == after


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("train: {nodes: 2}", r"train\.nodes is 2, but this is one machine; set it to 1, or use detkds submit"),
        (
            "student: {config: retinanet_r50_fpn_1x_coco, checkpoint: 'pvc://weights/student.pth'}",
            r"the volume claim weights, which only a",
        ),
    ],
)
def test_what_only_a_cluster_has_is_refused_before_anything_is_made(tmp_path: Path, more: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(CLUSTER), **yaml.safe_load(more)}))
    for use in (lambda run: run.execute(), lambda run: run.search("global"), lambda run: run.train()):
        with Run.open(path, home=tmp_path / "home", console=quiet()) as run, pytest.raises(ConfigError, match=message):
            use(run)
    assert not (tmp_path / "home").exists()


def test_the_store_is_a_folder_where_no_endpoint_is_named_and_the_environment_is_given_back(tmp_path: Path) -> None:
    before = dict(os.environ)
    with local_store(tmp_path, quiet()) as kind:
        store = open_store("s3://detkds/runs")
        assert (kind, isinstance(store, FolderStore)) == ("folder", True)
        store.ensure_bucket()
        assert store.list() == []
        store.put_bytes(b"1", "one/latest")
        assert (tmp_path / "store" / "detkds" / "runs" / "one" / "latest").read_bytes() == b"1"
    assert dict(os.environ) == before


def test_an_open_run_gives_the_environment_back(run_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SPINS, raising=False)
    monkeypatch.setenv(plugins.VARIABLE, "")  # says what this process has imported, which stays
    before = dict(os.environ)
    with Run.open(run_yaml, home=tmp_path / "home", console=quiet()):
        assert (os.environ[SPINS], os.environ[RUN]) == ("1000", "tiny")
    assert dict(os.environ) == before
    (tmp_path / "wrong.yaml").write_text("name: A")
    with pytest.raises(ConfigError):
        Run.open(tmp_path / "wrong.yaml", home=tmp_path / "home", console=quiet())
    assert dict(os.environ) == before
    monkeypatch.setenv(SPINS, "7")
    with Run.open(run_yaml, home=tmp_path / "home", console=quiet()):
        assert os.environ[SPINS] == "7"  # the user's choice


def test_an_endpoint_goes_before_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETKDS_S3_ENDPOINT", "127.0.0.1:9")
    monkeypatch.setenv("DETKDS_S3_FOLDER", str(tmp_path))
    monkeypatch.setenv("DETKDS_S3_ACCESS_KEY", "reader")
    monkeypatch.setenv("DETKDS_S3_SECRET_KEY", "secret")
    with local_store(tmp_path, quiet()) as kind:
        assert kind == "127.0.0.1:9"
        assert not isinstance(open_store("s3://detkds"), FolderStore)
    with (
        pytest.raises(ConfigError, match="--embedded-s3 and DETKDS_S3_ENDPOINT name two stores"),
        local_store(tmp_path, quiet(), embedded=True),
    ):
        pass


def test_without_endpoint_and_folder_an_address_is_an_error_as_in_a_pod() -> None:
    with pytest.raises(ConfigError, match="an s3:// address needs DETKDS_S3_ENDPOINT"):
        open_store("s3://detkds")


def test_pull_says_where_it_looked_and_how_to_look_in_the_embedded_server(tmp_path: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"no run was published yet in .*/store/detkds, which is used in place of s3://detkds without DETKDS_S3_E"
    ):
        pull("latest", "s3://detkds", tmp_path / "out", (), tmp_path / "home", quiet())
    (tmp_path / "home" / "s3").mkdir(parents=True)
    with pytest.raises(ArtifactError, match=r"the embedded server has data here: add --embedded-s3"):
        pull("latest", "s3://detkds", tmp_path / "out", (), tmp_path / "home", quiet())


def test_search_train_and_predict_from_a_notebook(run_yaml: Path, home: Path, pictures: Path) -> None:
    image = next((pictures / "test").iterdir())
    with Image.open(image) as opened:
        picture = opened.convert("RGB")
    with Run.open(run_yaml, home=home, console=quiet()) as run:
        study = run.search("global")
        assert (study.name, len(study.trials)) == ("global", 1 + 2 + 2)
        assert study.best_distilled is not None
        assert study.total_seconds > 0
        assert run.search("global").trials == study.trials
        student = run.train(study.best_distilled.recipe)
        assert student.recipe == study.best_distilled.recipe
        found = student.predict(image)
    assert found == detkds.Student.open(student.folder).predict(picture)
    assert found == sorted(found, key=lambda one: -one.score)
    width, height = picture.size
    assert all(-1 <= one.box[0] <= one.box[2] <= width + 1 and -1 <= one.box[1] <= one.box[3] <= height + 1 for one in found)
    assert {one.label for one in found} <= set(student.classes)
    drawn = detkds.draw(image, found[:3], min_score=0.0)
    assert drawn.size == (width, height)


def test_the_documented_example_runs(run_yaml: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "notebooks" / "search_train_predict.py"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(example), str(run_yaml), str(next((pictures / "test").iterdir()))])
    runpy.run_path(str(example), run_name="__main__")["run"].close()
    assert (tmp_path / "boxes.png").is_file()


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda run: run.search("instance"), ConfigError, "searches global, logits, got 'instance'; add it to search.knowledge"),
        (lambda run: run.train("pkdd"), GenomeError, "did you mean pkd"),
    ],
)
def test_wrong_input_is_one_clear_error_before_anything_is_trained(
    run_yaml: Path, tmp_path: Path, use: Any, error: Any, message: str
) -> None:
    with Run.open(run_yaml, home=tmp_path / "home", console=quiet()) as run, pytest.raises(error, match=message):
        use(run)
    assert not (tmp_path / "home" / "work").exists()


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "image.jpg").write_bytes(b"not an image")
    with pytest.raises(DatasetError, match=r"image\.jpg cannot be read as an image"):
        detkds.draw(tmp_path / "image.jpg", [])


def test_a_folder_without_a_student_is_named(tmp_path: Path) -> None:
    with pytest.raises(detkds.DetKDSError, match=r"holds no student: student\.pth and student\.json must be there"):
        detkds.Student.open(tmp_path)
