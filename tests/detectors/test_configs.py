"""Configs: found, trusted or not, adapted to a data set, built with a seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from detkds.detectors import adapt, build_detector, load_config
from detkds.detectors.configs.data_config import read_config
from detkds.errors import ConfigError

CLASSES = ("ring", "bar", "dot")


@pytest.mark.parametrize(
    "name", ["retinanet/retinanet_r50_fpn_1x_coco", "retinanet/retinanet_r50_fpn_1x_coco.py", "retinanet_r50_fpn_1x_coco"]
)
def test_mmdets_own_names_need_no_trust(name: str) -> None:
    assert load_config(name, trust=False).model.type == "RetinaNet"


def test_a_name_nearly_right_is_suggested() -> None:
    with pytest.raises(ConfigError, match=r"did you mean retinanet/retinanet_r50_fpn_1x_coco\?"):
        load_config("retinanet/retinanet_r50_fpn_1xcoco", trust=False)


def test_a_local_file_does_not_run_without_trust(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    file = tmp_path / "student.py"
    file.write_text(f"open({str(trace)!r}, 'w').close()\nmodel = dict(type='RetinaNet')\n")
    with pytest.raises(ConfigError, match="--trust-config"):
        load_config(str(file), trust=False)
    assert not trace.exists()
    assert load_config(str(file), trust=True).model.type == "RetinaNet"
    assert trace.exists()


def test_a_config_that_is_data_is_not_called_code(tmp_path: Path) -> None:
    file = tmp_path / "student.yaml"
    file.write_text("model: {type: RetinaNet}\n")
    with pytest.raises(ConfigError, match=r"student\.yaml could import code by its `type` words; read it with read_config"):
        load_config(str(file), trust=False)
    assert read_config(str(file)).model.type == "RetinaNet"


@pytest.mark.parametrize("name", ["student.YAML", "student.txt", "student"])
@pytest.mark.parametrize("trust", [False, True])
def test_a_file_of_another_ending_is_refused_by_its_name(tmp_path: Path, name: str, trust: bool) -> None:
    file = tmp_path / name
    file.write_text("model: {type: RetinaNet}\n")
    with pytest.raises(ConfigError, match=rf"{name} must end in \.py, \.yaml, \.yml or \.json; rename it"):
        read_config(str(file), trust=trust)


def test_no_local_file_stands_in_for_mmdets_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "retinanet").mkdir()
    (tmp_path / "retinanet" / "retinanet_r50_fpn_1x_coco.py").write_text("model = dict(type='Other')\n")
    monkeypatch.chdir(tmp_path)
    assert load_config("retinanet/retinanet_r50_fpn_1x_coco.py", trust=True).model.type == "RetinaNet"


@pytest.mark.parametrize(("text", "said"), [("model = (", "SyntaxError"), ("x = 1", "no `model`"), ("1 / 0", "ZeroDivisionError")])
def test_a_file_that_is_no_detector_config(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "broken.py"
    file.write_text(text + "\n")
    with pytest.raises(ConfigError, match=said):
        load_config(str(file), trust=True)


def test_adapt_sets_classes_and_takes_downloads_out() -> None:
    original = load_config("faster_rcnn/faster-rcnn_r50_fpn_1x_coco", trust=False)
    adapted = adapt(original, CLASSES)
    model = adapted.config.model
    assert model.roi_head.bbox_head.num_classes == 3
    assert model.backbone.init_cfg is None
    assert (model.backbone.frozen_stages, model.backbone.norm_eval) == (-1, False)
    assert adapted.config.test_dataloader.dataset.metainfo.classes == CLASSES
    assert adapted.config.train_dataloader.dataset.metainfo.classes == CLASSES
    assert "metainfo" not in adapted.config.val_evaluator
    assert "roi_head: num_classes 80 -> 3" in "\n".join(adapted.changes)
    assert "ResNet: pretrained weights torchvision://resnet50 left out" in "\n".join(adapted.changes)
    assert original.model.roi_head.bbox_head.num_classes == 80
    assert original.model.backbone.init_cfg.type == "Pretrained"


def test_a_backbone_whose_weights_will_come_keeps_its_frozen_stages() -> None:
    adapted = adapt(load_config("retinanet_r50_fpn_1x_coco", trust=False), CLASSES, pretrained_backbone=True)
    assert (adapted.config.model.backbone.frozen_stages, adapted.config.model.backbone.norm_eval) == (1, True)


def test_adapt_reaches_every_stage_and_mask_head_but_no_semantic_head() -> None:
    model = adapt(load_config("htc/htc_r50_fpn_1x_coco", trust=False), CLASSES).config.model
    assert [head.num_classes for head in model.roi_head.bbox_head] == [3, 3, 3]
    assert [head.num_classes for head in model.roi_head.mask_head] == [3, 3, 3]
    assert model.roi_head.semantic_head.num_classes == 183


def test_adapt_needs_a_class_and_a_head() -> None:
    with pytest.raises(ConfigError, match="at least one class"):
        adapt(load_config("retinanet_r50_fpn_1x_coco", trust=False), ())
    with pytest.raises(ConfigError, match="no head of Thing"):
        adapt(Config({"model": {"type": "Thing", "backbone": {}}}), CLASSES)


def test_the_same_seed_builds_the_same_weights_and_disturbs_no_draw(tiny_config: Callable[..., Config]) -> None:
    config = tiny_config("retinanet")
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    first = build_detector(config, seed=1)
    assert torch.equal(torch.rand(1), expected)
    again, other = build_detector(config, seed=1), build_detector(config, seed=2)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())
    assert not torch.equal(first.bbox_head.retina_cls.weight, other.bbox_head.retina_cls.weight)


def test_a_detector_that_cannot_be_built_is_a_config_error(tiny_config: Callable[..., Config]) -> None:
    config = tiny_config("retinanet")
    config.model.neck.type = "NoSuchNeck"
    with pytest.raises(ConfigError, match="NoSuchNeck"):
        build_detector(config, seed=0)
