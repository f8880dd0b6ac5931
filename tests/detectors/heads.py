"""Detectors of every kind of head, made small, for the tests of what is read of them."""

from __future__ import annotations

from typing import Any

import torch
from shrink import shrink
from torch import Tensor, nn

from detkds.detectors import adapt, build_detector, load_config
from detkds.detectors.heads.dense import cells_of

DENSE = {
    "retinanet": "retinanet/retinanet_r50_fpn_1x_coco",
    "fcos": "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco",
    "gfl": "gfl/gfl_r50_fpn_1x_coco",
    "atss": "atss/atss_r50_fpn_1x_coco",
    "rtmdet": "rtmdet/rtmdet_l_8xb32-300e_coco",
    "rtmdet-tiny": "rtmdet/rtmdet_tiny_8xb32-300e_coco",
    "yolox": "yolox/yolox_s_8xb8-300e_coco",
    "reppoints": "reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco",
    "reppoints-bbox": "reppoints/reppoints-bbox_r50_fpn-gn_head-gn-grid_1x_coco",
    "tood": "tood/tood_r50_fpn_1x_coco",
    "tood-anchors": "tood/tood_r50_fpn_anchor-based_1x_coco",
}
OTHERS = {
    "faster-rcnn": "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "cascade-mask-rcnn": "cascade_rcnn/cascade-mask-rcnn_x101-64x4d_fpn_1x_coco",
    "mask-rcnn-swin": "swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco",
    "deformable-detr": "deformable_detr/deformable-detr_r50_16xb2-50e_coco",
    "dino": "dino/dino-4scale_r50_8xb2-12e_coco",
}


def small(name: str, seed: int = 0, width: int = 16) -> Any:
    """A detector of mmdet's own configs, shrunken, in training mode."""
    config = shrink(load_config({**DENSE, **OTHERS}[name], trust=False), width=width)
    return build_detector(adapt(config, ("ring", "bar", "dot")).config, seed=seed)


def read_level(head: Any, outputs: list[Tensor], index: int, choice: Tensor | None = None) -> Any:
    return cells_of(head).read(outputs, index, choice)


def shaken(detector: nn.Module, seed: int = 0) -> nn.Module:
    """In evaluation mode, with heads that say something different in every cell."""
    generator = torch.Generator().manual_seed(seed)
    head = detector.roi_head if hasattr(detector, "roi_head") else detector.bbox_head
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return detector.eval()
