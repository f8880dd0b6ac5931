"""What TensorBoard, Weights & Biases and MLflow are told. Event files are read back by TensorBoard's own reader."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from detkds.pipeline.event_file import EventFile, from_log
from detkds.pipeline.loggers import FOLDER, Loggers
from detkds.pipeline.task import RUN


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Of this test alone."""
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN, "demo")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(name)]


def test_tensorboard_reads_the_figures_of_a_training(home: Path) -> None:
    with Loggers("train distilled", (), key="train-1", settings={}) as told:
        for step in (1, 2, 3):
            told.scalars(step, {"loss": step / 4, "lr": 0.5})
    folder = home / FOLDER / "demo" / "train-distilled"
    assert curve(folder, "loss") == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert curve(folder, "lr") == [(1, 0.5), (2, 0.5), (3, 0.5)]


def test_a_resumed_training_replaces_the_steps_that_it_does_again(home: Path) -> None:
    """The first process dies after step 3, whose checkpoint is of step 1; the second does steps 2 and 3 again."""
    for steps, value in (((1, 2, 3), 1.0), ((2, 3, 4), 2.0)):
        with Loggers("train baseline", (), key="train-1", settings={}) as told:
            for step in steps:
                told.scalars(step, {"loss": value})
    assert curve(home / FOLDER / "demo" / "train-baseline", "loss") == [(1, 1.0), (2, 2.0), (3, 2.0), (4, 2.0)]


def test_the_event_file_of_a_log_is_that_of_one_training(tmp_path: Path) -> None:
    log = [json.dumps({"step": step, "loss": step / 8, "loss_kd_global": 0.5}) for step in (5, 10)]
    from_log(tmp_path / "one", log)
    assert curve(tmp_path / "one", "loss") == [(5, 0.625), (10, 1.25)]
    assert read(tmp_path / "one").Tags()["scalars"] == ["loss", "loss_kd_global"]
    (file,) = (tmp_path / "one").iterdir()
    from_log(tmp_path / "other", log)
    assert (tmp_path / "other" / file.name).read_bytes() == file.read_bytes(), "the digest of a model depends on it"


def test_pictures_come_back_as_they_were(tmp_path: Path) -> None:
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    events = EventFile(tmp_path)
    events.image("student/1.png", picture)
    events.close()
    (event,) = read(tmp_path).Images("student/1.png")
    (tmp_path / "back.png").write_bytes(event.encoded_image_string)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "back.png")), np.asarray(picture))


def test_a_service_that_fails_is_left_out_with_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with Loggers("train baseline", ("wandb",), key="train-1", settings={}) as told:
        told.scalars(1, {"loss": 1.0})
        told.scalars(2, {"loss": 0.5})
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("[train baseline] wandb receives nothing more: ImportError: ")
    assert len(curve(home / FOLDER / "demo" / "train-baseline", "loss")) == 2


def fake_wandb(calls: list[tuple[str, Any]]) -> ModuleType:
    """What mmengine's backend calls of wandb 0.31, whose offline run was looked at with the same figures: `init` in mode offline asks for
    no key, `log` takes a step among the figures, `Image` an array."""
    module: Any = ModuleType("wandb")
    module.init = lambda **options: calls.append(("init", options))
    module.define_metric = lambda *args, **options: calls.append(("define_metric", options))
    module.log = lambda figures, commit: calls.append(("log", figures))
    module.Image = lambda array: SimpleNamespace(shape=array.shape)
    module.join = lambda: calls.append(("join", None))
    return module


def test_wandb_runs_offline_where_it_was_given_no_key(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[str, Any]] = []
    monkeypatch.setenv("HOME", str(tmp_path))  # whose .netrc may hold a key
    monkeypatch.setitem(sys.modules, "wandb", fake_wandb(calls))
    with Loggers("train distilled", ("wandb",), key="train-1", settings={"recipe": "global: none > none > none | l2 x 5"}) as told:
        told.scalars(7, {"loss": 1.0})
        told.image("student/1.png", Image.new("RGB", (6, 4)))
    (kind, start), *rest = calls
    assert kind == "init"
    assert (start["mode"], start["project"], start["name"], start["group"]) == ("offline", "detkds", "demo train distilled", "demo")
    assert start["config"] == {"recipe": "global: none > none > none | l2 x 5"}
    assert [name for name, _ in rest] == ["define_metric", "log", "log", "join"]
    assert rest[1][1] == {"step": 7, "loss": 1.0}
    assert rest[2][1]["student/1.png"].shape == (4, 6, 3)


def test_wandb_takes_up_the_same_page_after_an_interruption(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = []
    for key in ("train-1", "train-1", "train-2"):
        calls: list[tuple[str, Any]] = []
        monkeypatch.setitem(sys.modules, "wandb", fake_wandb(calls))
        monkeypatch.setenv("WANDB_API_KEY", "not a key")
        with Loggers("train distilled", ("wandb",), key=key, settings={}) as told:
            told.scalars(1, {"loss": 1.0})
        assert calls[0][1]["mode"] == "online"
        assert "not a key" not in repr(calls)
        pages.append(calls[0][1]["id"])
    assert pages[0] == pages[1] != pages[2]


def fake_mlflow(calls: list[tuple[str, Any]]) -> ModuleType:
    """What mmengine's backend calls of mlflow-skinny 3.17, which was looked at with the same figures: it refuses plain files as a tracking
    store, and takes an SQLite database; an image needs a suffix that Pillow knows."""
    module: Any = ModuleType("mlflow")
    module.MlflowException = type("MlflowException", (Exception,), {})

    def set_tracking_uri(address: str) -> None:
        if address.startswith("file:"):
            raise module.MlflowException("The filesystem tracking backend (e.g., './mlruns') is in maintenance mode")
        calls.append(("set_tracking_uri", address))

    def called(name: str) -> Any:
        return lambda *args, **options: calls.append((name, args))

    module.set_tracking_uri = set_tracking_uri
    module.get_experiment_by_name = lambda name: None
    for name in ("create_experiment", "set_experiment", "set_tag", "set_tags", "log_params", "log_text", "log_metrics", "end_run"):
        setattr(module, name, called(name))
    module.log_image = lambda image, name: calls.append(("log_image", (name, image.shape)))
    return module


def test_mlflow_works_into_a_database_of_its_own_where_no_server_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any]] = []
    monkeypatch.setitem(sys.modules, "mlflow", fake_mlflow(calls))
    with Loggers("train distilled", ("mlflow",), key="train-1", settings={"epochs": 3}) as told:
        told.scalars(7, {"loss": 1.0, "lr": 0.5})
        told.image("student/1.jpg", Image.new("RGB", (6, 4)))
    found = dict(calls)
    assert found["set_tracking_uri"] == f"sqlite:///{home}/mlflow/mlflow.db"
    assert found["set_tag"] == ("mlflow.runName", "demo train distilled")
    assert found["log_metrics"] == ({"loss": 1.0, "lr": 0.5}, 7)
    assert found["log_image"] == ("student/1.png", (4, 6, 3))
    assert found["log_params"][0]["epochs"] == 3
    assert calls[-1][0] == "end_run"
    assert "log_artifact" not in found  # nothing of the working folder is sent


def test_mlflow_is_told_on_the_server_that_its_variable_names(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any]] = []
    monkeypatch.setitem(sys.modules, "mlflow", fake_mlflow(calls))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example.org")
    with Loggers("train distilled", ("mlflow",), key="train-1", settings={}) as told:
        told.scalars(1, {"loss": 1.0})
    assert dict(calls)["set_tracking_uri"] == "http://mlflow.example.org"
