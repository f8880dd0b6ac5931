"""Several processes train one student: the same recipe, and within rounding the same student as one process."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from pictures import make_config, make_source
from torch import Tensor

from detkds.detectors import build_detector, load_weights
from detkds.detectors.training.batches import Source
from detkds.detectors.training.local_processes import run_in_processes
from detkds.detectors.training.loop import TrainSettings
from detkds.detectors.training.parallel import Group, processes
from detkds.detectors.training.train import Start, start_student, train
from detkds.errors import Interrupted
from detkds.genome import Recipe

RECIPE = Recipe.parse("global: none > none > none | l2")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("data") / "train")


def config_of_an_fcos() -> Config:
    """FCOS divides its losses by means over all processes. Batch norms keep their statistics; plain SGD magnifies no rounding."""
    config = make_config()
    config.model.type = "FCOS"
    config.model.backbone.norm_eval = True
    config.model.bbox_head = {
        "type": "FCOSHead", "num_classes": 2, "in_channels": 16, "feat_channels": 16, "stacked_convs": 1, "strides": [8, 16, 32],
        "regress_ranges": ((-1, 16), (16, 32), (32, 1000)), "norm_cfg": {"type": "GN", "num_groups": 4},
        "loss_cls": {"type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25, "loss_weight": 1.0},
        "loss_bbox": {"type": "GIoULoss", "loss_weight": 1.0},
        "loss_centerness": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
    }  # fmt: skip
    config.model.train_cfg = None
    config.optim_wrapper.optimizer = {"type": "SGD", "lr": 0.02, "momentum": 0.9}
    return config


def teach(source: Source, out: Path, group: Group, *, checkpoint: Path | None = None, stop_at: int = 0) -> int:
    """Two epochs of 2 + 2 + 1 images: in a group of two, four shared steps and two that both compute whole."""
    config = config_of_an_fcos()

    def progress(step: int, total: int, losses: Mapping[str, float]) -> None:
        if step == stop_at:
            os.kill(multiprocessing.parent_process().pid, signal.SIGTERM)  # its own parent is the server

    settings = TrainSettings(epochs=2, batch_size=2, device="cpu")
    teacher = build_detector(make_config(12), seed=9)
    mine = checkpoint if group.rank == 0 else None
    report = progress if group.rank == 0 else None
    return train(
        config, source, settings, out, teacher=teacher, recipe=RECIPE, start=Start(), checkpoint=mine, progress=report, group=group
    ).steps


def assert_near(left: Mapping[str, Tensor], right: Mapping[str, Tensor], tolerance: float) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        torch.testing.assert_close(tensor, right[name], rtol=0, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}")


def test_shares_are_runs_of_a_batch_or_all_of_it() -> None:
    assert [list(Group(rank, 2).share("abcd")) for rank in range(2)] == [["a", "b"], ["c", "d"]]
    assert [list(Group(rank, 2).share("abc")) for rank in range(2)] == [["a", "b", "c"]] * 2
    assert list(Group().share("abc")) == ["a", "b", "c"]


@pytest.mark.parametrize(("batch", "gpus", "count"), [(16, 8, 8), (2, 8, 2), (6, 4, 3), (7, 4, 1), (8, 0, 1)])
def test_as_many_processes_as_divide_the_batch(batch: int, gpus: int, count: int) -> None:
    assert processes(batch, gpus) == count


@pytest.fixture(scope="module")
def shared(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of two processes."""
    out = tmp_path_factory.mktemp("shared") / "student.pth"
    assert run_in_processes(2, partial(teach, source, out)) == 6
    return out


def test_two_processes_train_the_same_student_as_one(source: Source, shared: Path, tmp_path: Path) -> None:
    assert teach(source, tmp_path / "alone.pth", Group()) == 6
    alone = load_weights(tmp_path / "alone.pth")
    assert_near(alone, load_weights(shared), 1e-5)
    first = start_student(config_of_an_fcos(), Start(inherit=False), seed=0, teacher=None)[0].state_dict()
    assert max(float((alone[name] - first[name]).abs().max()) for name in alone) > 1e-2  # it moved a thousand times as far


def test_a_group_stopped_by_sigterm_goes_on_as_if_nothing_had_been(source: Source, shared: Path, tmp_path: Path) -> None:
    out, checkpoint = tmp_path / "student.pth", tmp_path / "training.pth"
    with pytest.raises(Interrupted, match=r"stopped by SIGTERM after step [2345] of 6; its checkpoint .*training.pth"):
        run_in_processes(2, partial(teach, source, out, checkpoint=checkpoint, stop_at=2))
    assert not out.exists()
    assert run_in_processes(2, partial(teach, source, out, checkpoint=checkpoint)) == 6
    assert_near(load_weights(shared), load_weights(out), 0.0)


def die(group: Group) -> None:
    if group.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def test_where_one_is_killed_the_others_end() -> None:
    with pytest.raises(Interrupted, match="a process of the training was ended by SIGKILL, memory may have run out"):
        run_in_processes(2, die)
    assert multiprocessing.active_children() == []
