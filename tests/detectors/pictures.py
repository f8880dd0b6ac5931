"""A tiny data set and a tiny detector for the tests that train: 64 x 48 pixels, bright rectangles on noise, two classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image

from detkds.detectors import adapt
from detkds.detectors.training.batches import Source

CATEGORIES = [{"id": 7, "name": "wide"}, {"id": 3, "name": "tall"}]
CLASSES = ("wide", "tall")


def make_source(folder: Path, count: int = 6, *, seed: int = 0, upright: bool = False) -> Source:
    """Write `count` images with one or two boxes each, and the last one without; `upright` turns every second image."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    images, annotations = [], []
    for index in range(count):
        width, height = (48, 64) if upright and index % 2 else (64, 48)
        pixels = generator.integers(0, 90, (height, width, 3), dtype=np.uint8)
        for box in range(0 if index == count - 1 else 1 + index % 2):
            kind = (index + box) % 2
            w, h = ((24, 12), (12, 24))[kind]
            x, y = (int(generator.integers(0, limit)) for limit in (width - w, height - h))
            pixels[y : y + h, x : x + w] = (220, 80)[kind], 200, (80, 220)[kind]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 10 + index,
                    "category_id": CATEGORIES[kind]["id"],
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
        Image.fromarray(pixels).save(folder / f"{index}.png")
        images.append({"id": 10 + index, "file_name": f"{index}.png", "width": width, "height": height})
    annotation_file = folder / "annotations.json"
    annotation_file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))
    return Source(annotation_file, folder)


def make_config(width: int = 8, *, flip: float = 0.5) -> Config:
    """RetinaNet on a ResNet-18 of base width `width`, FPN and head of 16 channels, three levels."""
    load = {"type": "LoadImageFromFile"}
    resize = {"type": "Resize", "scale": (64, 64), "keep_ratio": True}
    boxes = {"type": "LoadAnnotations", "with_bbox": True}
    keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    model: dict[str, Any] = {
        "type": "RetinaNet",
        "data_preprocessor": {
            "type": "DetDataPreprocessor", "mean": [100.0] * 3, "std": [60.0] * 3, "bgr_to_rgb": True, "pad_size_divisor": 32,
        },
        "backbone": {
            "type": "ResNet", "depth": 18, "base_channels": width, "out_indices": (1, 2, 3), "norm_eval": False, "style": "pytorch",
        },
        "neck": {"type": "FPN", "in_channels": [2 * width, 4 * width, 8 * width], "out_channels": 16, "num_outs": 3},
        "bbox_head": {
            "type": "RetinaHead", "num_classes": 2, "in_channels": 16, "feat_channels": 16, "stacked_convs": 1,
            "anchor_generator": {
                "type": "AnchorGenerator", "octave_base_scale": 2, "scales_per_octave": 1, "ratios": [0.5, 2.0], "strides": [8, 16, 32],
            },
            "bbox_coder": {"type": "DeltaXYWHBBoxCoder"},
            "loss_cls": {"type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25, "loss_weight": 1.0},
            "loss_bbox": {"type": "L1Loss", "loss_weight": 1.0},
        },
        "train_cfg": {
            "assigner": {"type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.4, "min_pos_iou": 0, "ignore_iof_thr": -1},
            "sampler": {"type": "PseudoSampler"}, "allowed_border": -1, "pos_weight": -1, "debug": False,
        },
        "test_cfg": {"nms_pre": 100, "min_bbox_size": 0, "score_thr": 0.0, "nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 10},
    }  # fmt: skip
    training = [load, boxes, resize, {"type": "RandomFlip", "prob": flip}, {"type": "PackDetInputs"}]
    testing = [load, resize, boxes, {"type": "PackDetInputs", "meta_keys": keys}]
    content = {
        "model": model,
        "train_dataloader": {
            "batch_size": 2,
            "dataset": {
                "type": "CocoDataset",
                "ann_file": "",
                "pipeline": training,
                "filter_cfg": {"filter_empty_gt": True, "min_size": 32},
            },
        },
        "test_dataloader": {"batch_size": 2, "dataset": {"type": "CocoDataset", "ann_file": "", "pipeline": testing}},
        "optim_wrapper": {
            "type": "OptimWrapper",
            "optimizer": {"type": "AdamW", "lr": 0.003, "weight_decay": 0.0001},
            "clip_grad": {"max_norm": 10},
        },
        "train_cfg": {"type": "EpochBasedTrainLoop", "max_epochs": 12},
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 500},
            {"type": "MultiStepLR", "by_epoch": True, "begin": 0, "end": 12, "milestones": [8, 11], "gamma": 0.1},
        ],
    }
    return adapt(Config(content), CLASSES).config
