"""One config of each family of detectors, mmdet's own, narrow and four epochs long."""

from __future__ import annotations

from mmengine.config import Config
from shrink import CLASSES, shrink

from detkds.detectors import adapt, load_config

FAMILIES = {
    "retinanet": "retinanet/retinanet_r50_fpn_1x_coco",
    "faster-rcnn": "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "fcos": "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco",
    "gfl": "gfl/gfl_r50_fpn_1x_coco",
    "rtmdet-tiny": "rtmdet/rtmdet_tiny_8xb32-300e_coco",
    "yolox-nano": "yolox/yolox_nano_8xb8-300e_coco",
    "deformable-detr": "deformable_detr/deformable-detr_r50_16xb2-50e_coco",
}
EPOCHS = 4


def small(name: str) -> Config:
    """A family's own config, narrow and four epochs long; its hooks act in the third."""
    return adapt(narrow(name), CLASSES).config


def narrow(name: str) -> Config:
    """The same before it is adapted to classes: mmdet's."""
    config = shrink(load_config(FAMILIES[name], trust=False))
    config.train_cfg = {"type": "EpochBasedTrainLoop", "max_epochs": EPOCHS}
    config.param_scheduler = [{"type": "MultiStepLR", "by_epoch": True, "begin": 0, "end": EPOCHS, "milestones": [2], "gamma": 0.1}]
    if name == "yolox-nano":
        config.optim_wrapper.optimizer.lr = 0.002  # at its own 0.01, for batches of 64, the sides of boxes are infinite after 16 steps
    for hook in config.get("custom_hooks") or []:
        if hook.type == "PipelineSwitchHook":
            hook.switch_epoch = 2
        if hook.type == "YOLOXModeSwitchHook":
            hook.num_last_epochs = 1
    for augment in config.model.data_preprocessor.get("batch_augments") or []:
        if augment.type == "BatchSyncRandomResize":
            augment.update(interval=3, random_size_range=(64, 128))
    return config
