"""Families of detectors as mmdet configures them, small enough to be trained from scratch on two cores: `FAMILIES[name]()`.

What a config asks of training stays: augmentations, assigners, losses, hooks, groups of parameters. Channels, layers, image sizes, batch
and schedule shrink, and nothing is frozen, since nothing is pretrained.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from detkds.detectors.configs.config import load_config
from detkds.detectors.configs.data_config import read_config

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "detectors"))

from shrink import shrink  # noqa: E402  # a file of the tests

SIZE = 192
"""Pixels of the longer side."""
WARM_UP = 30
"""Steps: below a tenth of 312, the shortest training of the blood cells, for ours shortens a longer one (docs/detectors.md)."""
CHANNELS, WIDTH = 16, 64
"""Of the backbone's first stage, and of neck and head."""


def retinanet() -> tuple[Config, int]:
    """The student of examples/bccd.yaml, six epochs."""
    config = read_config(str(ROOT / "examples" / "configs" / "bccd_student.yaml"))
    return config, 6


def fcos() -> tuple[Config, int]:
    """FCOS, six epochs."""
    return _dense("fcos/fcos_r50-caffe_fpn_gn-head_1x_coco"), 6


def gfl() -> tuple[Config, int]:
    """GFL, six epochs."""
    return _dense("gfl/gfl_r50_fpn_1x_coco"), 6


def faster_rcnn() -> tuple[Config, int]:
    """Faster R-CNN of 200 proposals per image, six epochs."""
    config = _small("faster_rcnn/faster-rcnn_r50_fpn_1x_coco", 6)
    config.model.roi_head.bbox_head.fc_out_channels = 128
    config.model.train_cfg.rpn_proposal.update(nms_pre=500, max_per_img=200)
    config.model.test_cfg.rpn.update(nms_pre=500, max_per_img=200)
    config.model.train_cfg.rcnn.sampler.num = 64
    return config, 6


def deformable_detr() -> tuple[Config, int]:
    """Deformable DETR of 60 queries and two layers, twelve epochs; a transformer learns more slowly."""
    config = _small("deformable_detr/deformable-detr_r50_16xb2-50e_coco", 12)
    config.model.num_queries = config.model.test_cfg.max_per_img = 60
    return config, 12


def rtmdet() -> tuple[Config, int]:
    """RTMDet of a quarter of tiny's channels, with mosaic, mix-up and EMA, ten epochs of which the last three are without mosaic."""
    config = _small("rtmdet/rtmdet_tiny_8xb32-300e_coco", 10)
    config.optim_wrapper.optimizer.lr = 0.004
    for hook in config.custom_hooks:
        if hook.type == "PipelineSwitchHook":
            hook.switch_epoch = 7
        if hook.type == "EMAHook":
            hook.momentum = 0.01  # of 0.0002 nothing is learnt in a few hundred steps
    return config, 10


def yolox() -> tuple[Config, int]:
    """YOLOX-nano at 320 pixels with mosaic, mix of hooks and sizes by batch, twenty epochs of which the last three are without mosaic."""
    config, epochs = load_config("yolox/yolox_nano_8xb8-300e_coco", trust=False), 20
    _sized(config, 320)
    for node in _dicts(config._cfg_dict):
        if node.get("type") == "BatchSyncRandomResize":
            node.update(random_size_range=(256, 416))
        if node.get("type") == "YOLOXModeSwitchHook":
            node.num_last_epochs = 3
    config.train_dataloader.batch_size = 8
    config.optim_wrapper.optimizer.lr = 0.005
    _scheduled(config, epochs)
    return config, epochs


def _dense(name: str) -> Config:
    config = _small(name, 6)
    config.model.bbox_head.stacked_convs = 2
    return config


def _small(name: str, epochs: int) -> Config:
    """A family's config, narrow, from scratch, with AdamW and a cosine schedule of so many epochs."""
    config = shrink(load_config(name, trust=False), width=WIDTH)
    backbone = config.model.backbone
    if backbone.type == "ResNet":
        backbone.update(base_channels=CHANNELS, frozen_stages=-1, norm_eval=False, norm_cfg={"type": "BN"}, init_cfg=None)
        config.model.neck.in_channels = [CHANNELS << index for index in backbone.out_indices]
    _sized(config, SIZE)
    config.train_dataloader.batch_size = 4
    config.optim_wrapper.optimizer = {"type": "AdamW", "lr": 0.001, "weight_decay": 0.0001}
    _scheduled(config, epochs)
    return config


def _scheduled(config: Config, epochs: int) -> None:
    config.train_cfg = {"type": "EpochBasedTrainLoop", "max_epochs": epochs}
    config.param_scheduler = [
        {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": WARM_UP},
        {"type": "CosineAnnealingLR", "T_max": epochs, "begin": 0, "end": epochs, "by_epoch": True, "convert_to_iter_based": True},
    ]


def _sized(config: Config, size: int) -> None:
    """Every size in the pipelines, in place."""
    for node in _dicts(config._cfg_dict):
        for key in ("img_scale", "scale", "size"):
            if isinstance(node.get(key), tuple):
                node[key] = (size, size)
        if node.get("type") == "RandomChoiceResize":
            node["scales"] = [(size, size), (size * 3 // 4, size * 3 // 4)]
        if "crop_size" in node:
            node["crop_size"] = (size * 3 // 4, size) if node.get("crop_type") == "absolute_range" else (size, size)
        if "border" in node:
            node["border"] = (-size // 2, -size // 2)


def _dicts(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ():
        yield from _dicts(value)


FAMILIES: dict[str, Callable[[], tuple[Config, int]]] = {
    "RetinaNet": retinanet,
    "YOLOX-nano": yolox,
    "FCOS": fcos,
    "GFL": gfl,
    "RTMDet": rtmdet,
    "Faster R-CNN": faster_rcnn,
    "Deformable DETR": deformable_detr,
}
"""Each with the epochs of its schedule."""
SHORT = ("RetinaNet", "YOLOX-nano")
"""What `make gpu` has time for."""
