"""What mmdet's heads are told of the time, and TOOD, which trains by another rule from an epoch on."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from pictures import CLASSES, make_source
from shrink import shrink

from detkds.detectors import DistilledDetector, adapt, build_detector, load_config
from detkds.detectors.training.batches import Samples, Source
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.detectors.training.runtime import announced, runtime
from detkds.errors import ConfigError, Interrupted, Rejected
from detkds.genome import Recipe

TWELVE_EPOCHS = Config({"train_cfg": {"max_epochs": 12}})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_source(tmp_path_factory.mktemp("runtime") / "train", 4)


def tood() -> Config:
    return adapt(shrink(load_config("tood/tood_r50_fpn_1x_coco", trust=False)), CLASSES).config


def training(source: Source, epochs: int = 3) -> Training:
    """Two steps per epoch: three of the four images have boxes."""
    config, settings = tood(), TrainSettings(epochs=epochs, batch_size=2, device="cpu")
    student = DistilledDetector(build_detector(config, seed=0), None, Recipe())
    return Training(student, config, Samples(config, source, training=True), settings)


def said() -> dict[str, object]:
    return dict(MessageHub.get_current_instance().runtime_info)


def test_epochs_are_the_configs_own() -> None:
    # 36 steps stand for the config's 12 epochs, three each: epoch 4, TOOD's change of rule, begins at a third, step 12.
    assert [runtime(TWELVE_EPOCHS, step, 36)["epoch"] for step in (0, 2, 3, 11, 12, 35)] == [0, 0, 1, 3, 4, 11]
    assert runtime(TWELVE_EPOCHS, 5, 36) == {"epoch": 1, "iter": 5, "max_epochs": 12, "max_iters": 36}
    # Five steps: epoch 4 begins with the first step at or after 5/3.
    assert [runtime(TWELVE_EPOCHS, step, 5)["epoch"] for step in range(5)] == [0, 2, 4, 7, 9]


def test_iterations_are_those_of_a_config_that_counts_them() -> None:
    config = Config({"train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 90_000}})
    assert runtime(config, 1, 3) == {"epoch": 0, "iter": 30_000, "max_epochs": 1, "max_iters": 90_000}


def test_a_config_without_a_length_is_an_error() -> None:
    with pytest.raises(ConfigError, match="max_epochs or max_iters"):
        runtime(Config({}), 0, 1)


def test_what_was_said_before_is_said_again() -> None:
    before = said()
    with announced({"epoch": 3}):
        with contextlib.suppress(ZeroDivisionError), announced({"epoch": 7, "iter": 2}):
            assert said() == {**before, "epoch": 7, "iter": 2}
            raise ZeroDivisionError
        assert said() == {**before, "epoch": 3}
    assert said() == before


def test_tood_changes_its_rule_at_a_third(source: Source) -> None:
    run, before = training(source), said()
    epochs: list[int] = []
    run.run(progress=lambda step, steps, losses: epochs.append(run.distiller.student.bbox_head.epoch))
    assert run.distiller.student.bbox_head.initial_epoch == 4
    assert epochs == [0, 2, 4, 6, 8, 10]
    assert said() == before


def test_a_rejected_training_leaves_nothing_to_the_next(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    run, before = training(source), said()
    monkeypatch.setattr(
        run.distiller.student.bbox_head, "loss_by_feat", lambda *args, **kwargs: {"loss_cls": torch.tensor(torch.nan, requires_grad=True)}
    )
    with pytest.raises(Rejected):
        run.run()
    assert said() == before


def test_a_resumed_training_of_tood_is_the_same_training(source: Source, tmp_path: Path) -> None:
    straight = training(source)
    straight.run()
    path = tmp_path / "training.pth"

    def stop(step: int, steps: int, losses: Mapping[str, float]) -> None:
        if step == 3:  # past the change of rule, in the middle of a pass
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="step 3 of 6"):
        training(source).run(checkpoint=path, progress=stop)
    resumed = training(source)
    assert resumed.run(checkpoint=path) == 3
    ours, theirs = straight.distiller.state_dict(), resumed.distiller.state_dict()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
