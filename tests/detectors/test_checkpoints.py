"""Checkpoints: read as data, applied whole, inherited by name and shape, saved for stock mmdet."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from torch import nn

from detkds.detectors import apply_backbone, apply_weights, build_detector, inherit, load_weights, read_checkpoint, save_student
from detkds.errors import ArtifactError, ConfigError

CLASSES = ("ring", "bar", "dot")


class Trap:
    """Unpickled as code, this would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_plain_and_nested_states(tmp_path: Path) -> None:
    state = {"a": torch.ones(2), "b": torch.zeros(1)}
    torch.save(state, tmp_path / "plain.pth")
    torch.save(
        {"meta": {"CLASSES": ("x", "y")}, "state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "old.pth"
    )
    assert load_weights(tmp_path / "plain.pth").keys() == state.keys()
    old = read_checkpoint(tmp_path / "old.pth")
    assert old.weights.keys() == state.keys()
    assert old.classes == ("x", "y")


def test_what_mmengines_runner_writes_is_read(tmp_path: Path) -> None:
    hub = MessageHub.get_instance("checkpoint-test")
    hub.update_scalar("train/loss", 1.5)
    meta = {"dataset_meta": {"classes": CLASSES}, "seed": np.int64(3), "time": np.float64(0.5)}
    torch.save({"meta": meta, "state_dict": {"a": torch.ones(1)}, "message_hub": hub.state_dict(), "optimizer": {}}, tmp_path / "epoch.pth")
    assert read_checkpoint(tmp_path / "epoch.pth").classes == CLASSES


def test_code_in_a_checkpoint_never_runs(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(1)}, "meta": Trap(tmp_path / "sprung")}, tmp_path / "evil.pth")
    with pytest.raises(ArtifactError, match="mkdir"):
        load_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "sprung").exists()


class Reach:
    """Unpickled with a free getattr, this would reach into a class that a checkpoint may name."""

    def __reduce__(self) -> Any:
        return getattr, (np.ndarray, "__subclasses__")


def test_getattr_reaches_nothing_but_the_training_log(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(1)}, "meta": Reach()}, tmp_path / "reach.pth")
    with pytest.raises(ArtifactError, match="__subclasses__"):
        load_weights(tmp_path / "reach.pth")


def test_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        load_weights(tmp_path / "none.pth")
    torch.save({"state_dict": {"a": torch.ones(1000)}}, tmp_path / "whole.pth")
    (tmp_path / "torn.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:700])
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    for name in ("torn.pth", "empty.pth", "text.pth"):
        with pytest.raises(ArtifactError, match="not plain weights"):
            load_weights(tmp_path / name)
    for content in ({"state_dict": {}}, {"state_dict": {"a": 1}}, {"state_dict": [1]}, [1]):
        torch.save(content, tmp_path / "odd.pth")
        with pytest.raises(ArtifactError, match="must hold"):
            load_weights(tmp_path / "odd.pth")


def test_apply_names_every_kind_of_fault_and_changes_nothing() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = module[0].weight.clone()
    weights = {"0.weight": torch.ones(3, 2), "0.bias": torch.ones(4), "1.weight": torch.ones(1, 3), "x": torch.ones(1)}
    with pytest.raises(ArtifactError) as error:
        apply_weights(module, weights, "teacher checkpoint t.pth")
    assert str(error.value) == (
        "the teacher checkpoint t.pth does not fit Sequential: 1 missing (1.bias); 1 unexpected (x); "
        "1 of another shape (0.bias (4,) for (3,)). Give the config that it was trained with."
    )
    assert torch.equal(module[0].weight, before)


def test_long_lists_of_faults_are_cut_at_five() -> None:
    with pytest.raises(ArtifactError, match=r"7 unexpected \(x0, x1, x2, x3, x4, …\)"):
        apply_weights(nn.Identity(), {f"x{index}": torch.ones(1) for index in range(7)}, "file")


@pytest.mark.parametrize("name", ["retinanet", "fcos", "faster_rcnn"])
def test_another_class_count_is_named(tiny: Callable[..., nn.Module], name: str) -> None:
    teacher = tiny(name, classes=tuple("abcdefg"))
    with pytest.raises(ConfigError, match=r"teacher t\.pth distinguishes 7 classes, the data set has 3"):
        apply_weights(tiny(name), teacher.state_dict(), "teacher t.pth")


def test_other_widths_are_no_matter_of_classes(tiny: Callable[..., nn.Module]) -> None:
    with pytest.raises(ArtifactError, match=r"neck\.lateral_convs\.0\.conv\.weight \(32, 16, 1, 1\) for \(16, 16, 1, 1\)"):
        apply_weights(tiny("retinanet"), tiny("retinanet", width=32).state_dict(), "teacher t.pth")


def test_a_backbone_alone(tiny: Callable[..., nn.Module]) -> None:
    source, whole, bare = tiny("retinanet", seed=1), tiny("retinanet"), tiny("retinanet")
    apply_backbone(whole, source.state_dict())
    apply_backbone(bare, source.backbone.state_dict())
    for detector in (whole, bare):
        assert torch.equal(detector.backbone.conv1.weight, source.backbone.conv1.weight)
        assert not torch.equal(detector.bbox_head.retina_cls.weight, source.bbox_head.retina_cls.weight)
    with pytest.raises(ArtifactError, match=r"1 missing \(conv1.weight\)"):
        apply_backbone(bare, {name: value for name, value in source.backbone.state_dict().items() if name != "conv1.weight"})


def test_inherit_copies_what_agrees_and_says_why_the_rest_does_not(tiny: Callable[..., nn.Module]) -> None:
    student, teacher = tiny("retinanet", seed=0), tiny("retinanet", seed=1, classes=tuple("abcde"))
    own_backbone = student.backbone.conv1.weight.clone()
    report = inherit(student, teacher)
    assert torch.equal(student.neck.fpn_convs[0].conv.weight, teacher.neck.fpn_convs[0].conv.weight)
    assert "neck.fpn_convs.0.conv.weight" in report.copied
    # 9 anchors x 3 classes against 9 x 5
    assert dict(report.skipped)["bbox_head.retina_cls.bias"] == "shape (27,) in the student, (45,) in the teacher"
    assert torch.equal(student.backbone.conv1.weight, own_backbone)
    accounted = {*report.copied, *(name for name, _ in report.skipped)}
    assert accounted == {name for name in student.state_dict() if not name.startswith("backbone.")}
    other = dict(inherit(student, tiny("fcos")).skipped)
    assert other["bbox_head.retina_cls.bias"] == "the teacher has no tensor of this name"


@pytest.mark.parametrize("name", ["retinanet", "faster_rcnn"])
def test_stock_mmdet_loads_the_saved_student_and_detects_the_same(tiny_config: Callable[..., Config], tmp_path: Path, name: str) -> None:
    from mmdet.apis import inference_detector, init_detector

    config = tiny_config(name)
    config.test_dataloader.dataset.pipeline[1].scale = (96, 96)
    config.model.test_cfg.update({"score_thr": 0.0} if name == "retinanet" else {"rcnn": {**config.model.test_cfg.rcnn, "score_thr": 0.0}})
    student = build_detector(config, seed=4)
    student.cfg = config
    save_student(student, tmp_path / "student.pth", classes=CLASSES, config=config)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["student.pth", "student.py"]
    image = np.random.default_rng(0).integers(0, 256, (96, 80, 3), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="palette does not exist")
        stock = init_detector(str(tmp_path / "student.py"), str(tmp_path / "student.pth"), device="cpu")
    assert stock.dataset_meta["classes"] == CLASSES
    expected, found = (inference_detector(detector, image).pred_instances for detector in (student.eval(), stock))
    assert len(expected) > 10
    for field in ("bboxes", "scores", "labels"):
        assert torch.equal(expected[field], found[field])
    assert read_checkpoint(tmp_path / "student.pth").classes == CLASSES
