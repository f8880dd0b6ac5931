"""Tiny detectors of each family, built from mmdet's own configs: ResNet-18 of base width 8, narrow necks, 3 classes, 96 px images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from pictures import make_source
from torch import nn

from detkds.detectors import adapt, build_detector, load_config
from detkds.detectors.training.batches import Source

CLASSES = ("ring", "bar", "dot")
NAMES = {
    "retinanet": "retinanet/retinanet_r50_fpn_1x_coco",
    "fcos": "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco",
    "gfl": "gfl/gfl_r50_fpn_1x_coco",
    "atss": "atss/atss_r50_fpn_1x_coco",
    "faster_rcnn": "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "cascade_rcnn": "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco",
}


def _config(name: str, *, width: int = 16, classes: tuple[str, ...] = CLASSES, levels: int = 5) -> Config:
    """A detector's config narrowed: FPN and head of `width` channels, backbone of 8, 16, 32, 64."""
    config = load_config(NAMES[name], trust=False)
    model = config.model
    model.backbone.update(depth=18, base_channels=8, norm_cfg={"type": "BN", "requires_grad": True}, style="pytorch")
    model.neck.update(in_channels=[8, 16, 32, 64], out_channels=width)
    if "roi_head" in model:
        _narrow_two_stage(model, width)
    else:
        model.neck.num_outs = levels
        model.bbox_head.update(in_channels=width, feat_channels=width, stacked_convs=1)
        model.bbox_head.norm_cfg = {"type": "GN", "num_groups": 4, "requires_grad": True}
        if name == "retinanet":
            del model.bbox_head["norm_cfg"]
    return adapt(config, classes).config


def _narrow_two_stage(model: Any, width: int) -> None:
    model.rpn_head.update(in_channels=width, feat_channels=width)
    model.roi_head.bbox_roi_extractor.out_channels = width
    heads = model.roi_head.bbox_head
    for head in heads if isinstance(heads, list) else [heads]:
        head.update(in_channels=width, fc_out_channels=32)
    model.train_cfg.rpn_proposal.update(nms_pre=50, max_per_img=20)
    model.test_cfg.rpn.update(nms_pre=50, max_per_img=20)
    stages = model.train_cfg.rcnn
    for stage in stages if isinstance(stages, list) else [stages]:
        stage.sampler.num = 16


def _batch(size: int = 96, count: int = 2, boxes: bool = True) -> dict[str, Any]:
    """What a dataloader yields: `count` images of noise, the second one narrower, two boxes each."""
    generator = torch.Generator().manual_seed(5)
    inputs, samples = [], []
    for index in range(count):
        height, width = size, size - 16 * index
        inputs.append(torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator))
        truth = torch.tensor([[8.0, 8.0, 40.0, 44.0], [30.0, 20.0, 76.0, 90.0]]) if boxes else torch.zeros(0, 4)
        shape = {"img_shape": (height, width), "ori_shape": (height, width), "scale_factor": (1.0, 1.0)}
        sample = DetDataSample(metainfo={**shape, "img_id": index})
        sample.gt_instances = InstanceData(bboxes=truth, labels=torch.tensor([0, 2]) if boxes else torch.zeros(0, dtype=torch.long))
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        samples.append(sample)
    return {"inputs": inputs, "data_samples": samples}


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Source]:
    """Train and val for what a student of every family is trained on: two steps an epoch, three with the image without objects."""
    folder = tmp_path_factory.mktemp("few")
    return make_source(folder / "train", 5), make_source(folder / "val", 2, seed=1)


@pytest.fixture
def make_batch() -> Callable[..., dict[str, Any]]:
    """`make_batch(size=96, count=2, boxes=True)`: images of noise, the second narrower than the first, two boxes each."""
    return _batch


@pytest.fixture
def batch() -> dict[str, Any]:
    """Two images of 96 px height, which a detector's preprocessor pads together."""
    return _batch()


@pytest.fixture
def tiny_config() -> Callable[..., Config]:
    """`tiny_config(name, width=16, classes=…, levels=5)`: one of mmdet's own configs, narrowed."""
    return _config


@pytest.fixture
def tiny() -> Callable[..., nn.Module]:
    """`tiny(name, seed=0, …)`: the detector of `tiny_config(name, …)`."""

    def build(name: str, *, seed: int = 0, **kwargs: Any) -> nn.Module:
        return build_detector(_config(name, **kwargs), seed=seed)

    return build
