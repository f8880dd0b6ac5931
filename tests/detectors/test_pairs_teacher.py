"""The teacher stays as it came: through hooks, epochs, validation, copies and the wrapper of distributed training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from shrink import shrink
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader

from detkds.detectors import DistilledDetector, adapt, build_detector, load_config, load_weights
from detkds.detectors.silence import silence
from detkds.genome import Recipe

ALL = Recipe.parse("global: none > none > norm_HW | l2\nlogits: none | l2\nlocalization: none | giou")


def teacher_of(name: str) -> nn.Module:
    return build_detector(adapt(shrink(load_config(name, trust=False)), ("ring", "bar", "dot")).config, seed=1)


@pytest.fixture
def swin() -> nn.Module:
    """A Swin teacher as one comes out of a training: in training mode, with drop path at work."""
    teacher = teacher_of("swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco").train()
    for module in teacher.modules():
        if type(module).__name__ == "DropPath":
            module.drop_prob = 0.5  # the first blocks of the config drop nothing
    return teacher


@pytest.fixture
def resnet() -> nn.Module:
    """A ResNet teacher whose batch statistics are its own."""
    teacher = teacher_of("retinanet/retinanet_r101_fpn_1x_coco").train()
    generator = torch.Generator().manual_seed(4)
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
    return teacher


@pytest.fixture(params=["swin", "resnet"])
def teacher(request: pytest.FixtureRequest) -> nn.Module:
    """Either of the two."""
    found: nn.Module = request.getfixturevalue(request.param)
    return found


class Watch:
    """What a teacher was: its state, bit for bit; and that its every module is in evaluation mode."""

    def __init__(self, teacher: nn.Module) -> None:
        self.teacher = teacher
        self.before = {name: value.clone() for name, value in teacher.state_dict().items()}

    def unchanged(self) -> bool:
        state = self.teacher.state_dict()
        same = state.keys() == self.before.keys() and all(torch.equal(state[name], value) for name, value in self.before.items())
        return same and not any(module.training for module in self.teacher.modules())


def batches(batch: dict[str, Any]) -> DataLoader[Any]:
    return DataLoader([0, 1], batch_size=1, collate_fn=lambda _: copy.deepcopy(batch))


class Modes(Hook):
    """Whether teacher and student trained, at each step."""

    def __init__(self, teacher: nn.Module) -> None:
        self.teacher = teacher
        self.seen: list[tuple[bool, bool]] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        model = runner.model.module if hasattr(runner.model, "module") else runner.model
        self.seen.append((any(module.training for module in self.teacher.modules()), model.student.training))


def test_two_epochs_of_a_runner_with_its_hooks(
    tiny: Callable[..., nn.Module], batch: dict[str, Any], teacher: nn.Module, tmp_path: Path
) -> None:
    watch = Watch(teacher)
    distiller = DistilledDetector(tiny("retinanet"), teacher, ALL)
    modes = Modes(teacher)
    with silence():
        runner = Runner(
            model=distiller,
            work_dir=str(tmp_path),
            train_dataloader=batches(batch),
            train_cfg={"by_epoch": True, "max_epochs": 2},
            optim_wrapper=OptimWrapper(torch.optim.SGD(distiller.parameters(), lr=1e-3)),
            custom_hooks=[modes, {"type": "EMAHook"}, {"type": "SyncBuffersHook"}],
            default_scope="mmdet",
        )
        runner.train()
    assert modes.seen == [(False, True)] * 4
    assert watch.unchanged()
    saved = load_weights(tmp_path / "epoch_2.pth")
    assert {name.split(".")[0] for name in saved} <= {"student", "connectors", "_extra_state"}


@pytest.fixture
def process_group() -> Iterator[None]:
    """A group of this process alone."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_the_wrapper_of_distributed_training(tiny: Callable[..., nn.Module], batch: dict[str, Any], teacher: nn.Module) -> None:
    watch = Watch(teacher)
    wrapped = MMDistributedDataParallel(DistilledDetector(tiny("retinanet"), teacher, ALL), find_unused_parameters=True)
    optimizer = OptimWrapper(torch.optim.SGD(wrapped.parameters(), lr=1e-3))
    theirs = {id(tensor) for tensor in (*teacher.parameters(), *teacher.buffers())}
    assert not theirs & {id(tensor) for tensor in (*wrapped.parameters(), *wrapped.buffers())}  # what it would send around
    for _ in range(2):
        wrapped.train()
        log = wrapped.train_step(copy.deepcopy(batch), optim_wrapper=optimizer)
        wrapped.eval()
    assert log["loss_kd_global"] > 0
    assert watch.unchanged()


def test_drop_path_drops_nothing_and_draws_nothing(swin: nn.Module, tiny: Callable[..., nn.Module], batch: dict[str, Any]) -> None:
    images = torch.rand(2, 3, 96, 96)
    torch.manual_seed(0)
    noisy = [swin.extract_feat(images)[0] for _ in range(2)]
    assert not torch.equal(*noisy)  # in training mode it would
    distiller = DistilledDetector(tiny("retinanet"), swin, ALL).train()
    data = distiller.data_preprocessor(batch, True)

    def teacher_levels(seed: int) -> list[Tensor]:
        kept: list[Tensor] = []
        handle = swin.neck.register_forward_hook(lambda module, inputs, output: kept.extend(output))
        torch.manual_seed(seed)
        distiller(**copy.deepcopy(data), mode="loss")
        handle.remove()
        return kept

    first, second = teacher_levels(1), teacher_levels(2)
    assert len(first) == 5
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with torch.no_grad():
        swin.extract_feat(images)
    assert torch.equal(torch.rand(1), expected)


def test_a_copy_shares_the_teacher(tiny: Callable[..., nn.Module], batch: dict[str, Any], teacher: nn.Module) -> None:
    distiller = DistilledDetector(tiny("retinanet"), teacher, ALL)
    copied = copy.deepcopy(distiller).train()
    assert copied.teacher is teacher
    assert copied.student is not distiller.student
    runs: list[int] = []
    teacher.get_submodule("roi_head.bbox_head" if hasattr(teacher, "roi_head") else "bbox_head").register_forward_hook(
        lambda *_: runs.append(1)
    )
    with torch.no_grad():
        for parameter in copied.student.parameters():
            parameter.zero_()
    losses = copied(**copied.data_preprocessor(batch, True), mode="loss")
    assert runs == [1]  # the copy reads the teacher's own head, and its own student's
    assert losses["loss_kd_global"].isfinite()
    assert distiller.student.neck.fpn_convs[0].conv.weight.abs().sum() > 0
