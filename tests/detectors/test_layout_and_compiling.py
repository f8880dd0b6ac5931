"""`train.channels_last` and `train.compiled` change how a step is computed, and the student by rounding alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.config import Config
from pictures import CLASSES, make_config, make_source
from torch import Tensor, nn

from detkds.detectors import adapt
from detkds.detectors.configs.config import build_detector
from detkds.detectors.distiller import DistilledDetector
from detkds.detectors.training.batches import Samples
from detkds.detectors.training.loop import Training, TrainSettings
from detkds.genome.presets import preset


def shallow() -> Config:
    """The tiny detector with one stage of the backbone, and three levels above it: compiling takes its time per layer."""
    config = make_config(flip=0.0)
    config.model.backbone.update(num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,))
    config.model.neck.in_channels = [8]
    config.model.bbox_head.anchor_generator.strides = [4, 8, 16]
    return adapt(config, CLASSES).config


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Train a student beside its teacher for four steps: the losses of each step, the weights, the student."""
    config = shallow()
    samples = Samples(config, make_source(tmp_path_factory.mktemp("layout") / "images", 5), training=True, seed=1)

    def train(**settings: bool) -> tuple[list[dict[str, float]], dict[str, Tensor], Any]:
        distiller = DistilledDetector(build_detector(config, seed=0), build_detector(config, seed=5), preset("pkd x 2"))
        losses: list[dict[str, float]] = []
        training = Training(distiller, config, samples, TrainSettings(epochs=2, batch_size=2, device="cpu", seed=1, workers=0, **settings))
        training.run(progress=lambda step, steps, named: losses.append(dict(named)))
        return losses, dict(training.student.state_dict()), training.student

    return train, train()


def assert_same_but_for_rounding(found: Any, expected: Any) -> None:
    assert len(found[0]) == len(expected[0]) == 4
    assert expected[0][0]["loss"] != pytest.approx(expected[0][-1]["loss"], rel=1e-2), "it learns"
    for one, other in zip(found[0], expected[0], strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
    assert found[1].keys() == expected[1].keys()
    for name, tensor in expected[1].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_channels_last_gives_the_same_student_within_rounding(trained: Any) -> None:
    train, plain = trained
    found = train(channels_last=True)
    assert_same_but_for_rounding(found, plain)
    kernels = [weight for weight in found[2].parameters() if weight.dim() == 4 and weight.shape[1] > 1 and weight.shape[2] > 1]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # torch's own, of its inputs
def test_compiled_gives_the_same_student_within_rounding(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced and split into forward and backward as for any compiler; inductor's C++ takes minutes, so the graphs run as torch does."""
    train, plain = trained
    compiled = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled(module, backend="aot_eager"))
    found = train(compiled=True)
    assert found[2].backbone._compiled_call_impl is not None
    assert_same_but_for_rounding(found, plain)
