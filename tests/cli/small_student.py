"""A student that detects something else in every cell, in a folder as `detkds pull` brings it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from detkds.detectors import adapt, build_detector, load_config, save_student
from detkds.detectors.checkpoints import read_checkpoint
from detkds.detectors.configs.data_config import freeze
from detkds.detectors.tensors import save_tensors
from detkds.genome import Recipe
from detkds.storage.artifacts import publishing

CLASSES = ("ring", "bar")


def write_student(folder: Path) -> None:
    """An untrained RetinaNet of two levels, for images of 64 x 64 pixels."""
    config = load_config("retinanet/retinanet_r18_fpn_1x_coco", trust=False)
    model = config.model
    model.backbone.update(base_channels=8, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1))
    model.neck.update(in_channels=[8, 16], out_channels=8, num_outs=2, start_level=0, add_extra_convs=False)
    model.bbox_head.update(in_channels=8, feat_channels=8, stacked_convs=1)
    model.bbox_head.anchor_generator.strides = [4, 8]
    model.test_cfg.update(nms_pre=5000, score_thr=0.001)
    config.test_dataloader.dataset.pipeline[1].scale = (64, 64)
    config = adapt(config, CLASSES).config
    detector: Any = build_detector(config, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in detector.bbox_head.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    with publishing(folder, kind="results") as inside:
        save_student(detector, inside / "student.pth", classes=CLASSES, config=config)
        (inside / "student.json").write_text(freeze(config))
        save_tensors(read_checkpoint(inside / "student.pth"), inside / "student.safetensors", config=freeze(config))
        (inside / "recipe.txt").write_text("global: none > none > none | l2 x 6\n")
        (inside / "recipe.json").write_text(json.dumps(Recipe.parse("global: none > none > none | l2 x 6").to_json()))
