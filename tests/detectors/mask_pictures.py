"""A tiny data set with masks and tiny detectors of masks: 64 x 48 pixels, mmdet's own Mask R-CNN configs narrowed, two classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image
from pycocotools import mask as run_lengths

from detkds.detectors import adapt, load_config
from detkds.detectors.training.batches import Source

CATEGORIES = [{"id": 7, "name": "wide"}, {"id": 3, "name": "tall"}]
NAMES = {"mask_rcnn": "mask_rcnn/mask-rcnn_r50_fpn_1x_coco", "cascade_mask_rcnn": "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco"}
WIDTH, HEIGHT = 64, 48


def polygon(x: int, y: int, w: int, h: int) -> list[list[float]]:
    """A rectangle as COCO's polygon: pycocotools fills exactly the pixels x … x + w - 1, y … y + h - 1."""
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def runs(x: int, y: int, w: int, h: int, *, text: bool) -> dict[str, Any]:
    """The same rectangle as a run-length code of the image, as pycocotools' text or as plain counts down the columns."""
    bitmap = np.zeros((HEIGHT, WIDTH), np.uint8)
    bitmap[y : y + h, x : x + w] = 1
    if text:
        return {"size": [HEIGHT, WIDTH], "counts": run_lengths.encode(np.asfortranarray(bitmap))["counts"].decode()}
    changes = np.flatnonzero(np.diff(bitmap.ravel(order="F"), prepend=0, append=2))
    return {"size": [HEIGHT, WIDTH], "counts": np.diff(changes, prepend=0).tolist()}


def annotation(
    number: int, image: int, box: tuple[int, int, int, int], segmentation: Any, *, kind: int = 0, crowd: int = 0
) -> dict[str, Any]:
    """One entry of `annotations`."""
    area = box[2] * box[3]
    known = {"id": number, "image_id": image, "category_id": CATEGORIES[kind]["id"], "bbox": list(box), "area": area, "iscrowd": crowd}
    return known if segmentation is None else {**known, "segmentation": segmentation}


def write(folder: Path, annotations: list[dict[str, Any]]) -> Source:
    """An image of noise for each image id, bright inside the boxes, and the annotation file beside them."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    images = []
    for number in sorted({entry["image_id"] for entry in annotations}):
        pixels = generator.integers(0, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for entry in annotations:
            if entry["image_id"] == number:
                x, y, w, h = entry["bbox"]
                pixels[y : y + h, x : x + w] = 220, 200, 40 + 40 * entry["category_id"] % 200
        Image.fromarray(pixels).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
    file = folder / "annotations.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))
    return Source(file, folder)


def make_mask_source(folder: Path) -> Source:
    """Four images: polygons, both kinds of run-length codes, and one with a crowd beside an object and one with a crowd alone."""
    wide, tall = (10, 8, 24, 12), (40, 16, 12, 24)
    return write(
        folder,
        [
            annotation(1, 1, wide, polygon(*wide)),
            annotation(2, 1, tall, polygon(*tall), kind=1),
            annotation(3, 2, wide, runs(*wide, text=True)),
            annotation(4, 2, tall, runs(*tall, text=False), kind=1),
            annotation(5, 3, wide, polygon(*wide)),
            annotation(6, 3, tall, runs(*tall, text=False), kind=1, crowd=1),
            annotation(7, 4, wide, runs(*wide, text=False), crowd=1),
        ],
    )


def make_mask_config(name: str = "mask_rcnn", *, scale: tuple[int, int] = (64, 64), flip: float = 0.5, width: int = 8) -> Config:
    """mmdet's own config on a ResNet-18 of base width `width`, narrow neck and heads, two classes."""
    config = load_config(NAMES[name], trust=False)
    model = config.model
    model.backbone.update(depth=18, base_channels=width, norm_cfg={"type": "BN", "requires_grad": True}, style="pytorch")
    model.neck.update(in_channels=[width, 2 * width, 4 * width, 8 * width], out_channels=16)
    model.rpn_head.update(in_channels=16, feat_channels=16)
    heads = model.roi_head
    heads.bbox_roi_extractor.out_channels = heads.mask_roi_extractor.out_channels = 16
    for head in heads.bbox_head if isinstance(heads.bbox_head, list) else [heads.bbox_head]:
        head.update(in_channels=16, fc_out_channels=32)
    heads.mask_head.update(in_channels=16, conv_out_channels=16, num_convs=1)
    model.train_cfg.rpn_proposal.update(nms_pre=50, max_per_img=20)
    model.test_cfg.rpn.update(nms_pre=50, max_per_img=20)
    model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=10)
    for stage in model.train_cfg.rcnn if isinstance(model.train_cfg.rcnn, list) else [model.train_cfg.rcnn]:
        stage.sampler.num = 16
    for pipeline in (config.train_dataloader.dataset.pipeline, config.test_dataloader.dataset.pipeline):
        for step in pipeline:
            step.update({"Resize": {"scale": scale}, "RandomFlip": {"prob": flip}}.get(step.type, {}))
    return adapt(config, tuple(str(category["name"]) for category in CATEGORIES)).config
