"""A machine, a disk or a task that fails: one line, the right code, nothing half written."""

from __future__ import annotations

import errno
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from detkds.detectors.checkpoints import read_checkpoint
from detkds.errors import ConfigError, RunFailed, StoreError
from detkds.pipeline import run_config
from detkds.pipeline.kubeflow.local import run_local
from detkds.pipeline.watch import opened
from detkds.storage.artifacts import writing


class Kfp(types.ModuleType):
    """Of kfp 2.17's local runner: a task's process prints, and `task()` raises RuntimeError with the log in it, coloured."""

    class SubprocessRunner:
        def __init__(self, use_venv: bool) -> None:
            pass

    def __init__(self, printed: str) -> None:
        super().__init__("kfp")
        self.printed = printed
        self.local = types.SimpleNamespace(init=lambda **_: None, SubprocessRunner=self.SubprocessRunner)
        self.components = types.SimpleNamespace(load_component_from_text=lambda text: self.task)

    def task(self, **parameters: Any) -> None:
        print(self.printed)
        raise RuntimeError("Pipeline \x1b[96m'search'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m. Inner task failed.")


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ("Traceback (most recent call last):\n  File x\n\x1b[91mValueError: no such word\x1b[0m", "failed: ValueError: no such word; the"),
        ("nothing that names an error", "failed: Pipeline 'search' finished with status FAILURE. Inner task failed.; the whole output"),
    ],
)
def test_a_tasks_own_last_error_without_colours(printed: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kfp", Kfp(printed))
    log = tmp_path / "run.log"
    with pytest.raises(RunFailed) as caught:
        run_local("search", {}, home=tmp_path, cache_key="k", transcript=log, show=lambda line: None)
    assert words in str(caught.value)
    assert str(log) in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_without_kfp_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kfp", None)
    with pytest.raises(ConfigError, match="the package kfp is not installed"):
        run_local("search", {}, home=tmp_path, cache_key="k", transcript=tmp_path / "log", show=lambda line: None)


class FullDisk:
    """A file whose disk is full."""

    def write(self, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        pass


def test_a_disk_that_is_full_below_torch_is_no_traceback_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no space is left on the disk of .*model\.pth"), writing(tmp_path / "model.pth"):
        torch.save({"a": torch.zeros(3)}, FullDisk())
    assert list(tmp_path.iterdir()) == []


def ema_checkpoint(folder: Path) -> Path:
    """What mmcv 1's EMAHook leaves in a checkpoint of mmdet 2: a buffer `ema_NAME`, dots as underscores, for each parameter."""
    detector = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    state = detector.state_dict()
    copies = {f"ema_{name.replace('.', '_')}": tensor + 1 for name, tensor in detector.named_parameters()}
    torch.save({"meta": {"CLASSES": ["a", "b"]}, "state_dict": {**state, **copies}}, folder / "ema.pth")
    return folder / "ema.pth"


def test_case_15_copies_of_mmdet_2s_ema_hook_are_ignored(tmp_path: Path) -> None:
    read = read_checkpoint(ema_checkpoint(tmp_path))
    assert sorted(read.weights) == sorted(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).state_dict())
    assert read.ignored == 4
    assert read.classes == ("a", "b")


@pytest.mark.parametrize("name", ["Blood cells", "blood cells", "-a", "a" * 63, "a_b"])
def test_a_name_that_cannot_be_is_told_in_words(name: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    data = {"root": "s3://b/d", "train": {"annotations": "a"}, "test": {"annotations": "b"}}
    detectors = {"teacher": {"config": "x", "checkpoint": "s3://b/t.pth"}, "student": {"config": "x"}}
    path.write_text(yaml.safe_dump({"name": name, "data": data, **detectors}))
    with pytest.raises(ConfigError) as caught:
        run_config.load(path)
    (line,) = str(caught.value).splitlines()
    assert "name: must be at most 62 small letters, digits and hyphens" in line
    assert "^[" not in line


@pytest.mark.parametrize(("there", "expected"), [(True, "blood"), (False, "")])
def test_a_folder_of_the_name_of_a_run_does_not_stand_in_for_it(
    there: bool, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: Callable[[], Any]
) -> None:
    study = tmp_path / "home" / "work" / "evolve-1"
    study.mkdir(parents=True)
    if there:
        from detkds.pipeline.task import FILE, Task

        (study / FILE).write_text(Task("global", 3, ("global",), ("blood",)).dumps())
    (tmp_path / "blood").mkdir()
    monkeypatch.chdir(tmp_path)
    with opened("blood", "", tmp_path / "home", quiet()) as (_, name):
        assert name == expected
    with opened("./blood", "", tmp_path / "home", quiet()) as (_, name):
        assert name == ""


@pytest.fixture
def quiet() -> Callable[[], Any]:
    from rich.console import Console

    return lambda: Console(quiet=True)
